"""What trimtab adds to Airflow."""

import trimtab_alerts
import trimtab_health
from airflow.plugins_manager import AirflowPlugin


class TrimtabPlugin(AirflowPlugin):
    """Registers; what it registers lies beside it."""

    name = "trimtab"
    fastapi_apps = [
        trimtab_alerts.APP,  # the longest prefix first: the first that fits answers
        {**trimtab_health.APP, "app": trimtab_health.HealthApp()},
    ]
    external_views = [trimtab_health.VIEW]
