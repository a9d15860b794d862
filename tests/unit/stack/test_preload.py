import subprocess
import sys

from trimtab.stack.preload import MODULES

CODE = "import sys; from trimtab.stack.preload import MODULES, preload; preload(); print(set(MODULES) <= set(sys.modules))"


def _preloaded(environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", CODE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_only_the_scheduler_pays():
    assert _preloaded({}) == "False"
    assert _preloaded({"TRIMTAB_PRELOAD": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}) == "True"


def test_nothing_of_ours_is_preloaded():
    assert not any(name.startswith("trimtab") for name in MODULES)
