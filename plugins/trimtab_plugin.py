"""Registers with Airflow what trimtab adds to it."""

import trimtab_alerts
import trimtab_health
from airflow.plugins_manager import AirflowPlugin


class TrimtabPlugin(AirflowPlugin):
    """Registers the apps and views of the other plugin files."""

    name = "trimtab"
    fastapi_apps = [
        trimtab_alerts.APP,
        trimtab_health.APP,
    ]  # the longest prefix first: the first match answers
    external_views = [trimtab_health.VIEW]
