"""The plugins as Airflow loads them, in every one of its processes."""

import subprocess
import sys

from tests.dags.conftest import FOLDER
from tests.dags.test_policy import HEAVY

PLUGINS = FOLDER.parent / "plugins"


def test_loading_them_imports_nothing_heavy(tmp_path):
    code = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); import trimtab_plugin;"
        " print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    settings = {"AIRFLOW_HOME": str(tmp_path), "PATH": "", "PYTHONPATH": str(PLUGINS)}
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True
    )
    names = set(loaded.stdout.splitlines()[-1].split())
    assert "trimtab_health" in names
    assert names.isdisjoint({*HEAVY, "fastapi", "pandas", "sqlalchemy"})


def test_the_health_page_links_runs_only_to_where_a_browser_can_go(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGINS))
    import trimtab_health

    monkeypatch.delenv("TRIMTAB_MLFLOW_PAGE", raising=False)
    for address, shown in (
        ("sqlite:////var/mlflow.db", None),
        ("", None),
        # pragma: allowlist nextline secret
        ("https://bot:secret@mlflow.internal:8443/base/", "https://mlflow.internal:8443/base"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert trimtab_health._mlflow() == shown
    monkeypatch.setenv("TRIMTAB_MLFLOW_PAGE", "https://mlflow.example.org")
    assert trimtab_health._mlflow() == "https://mlflow.example.org"
