"""Check the five stores: does each answer, and does it have the schema that this code needs?"""

import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trimtab import params
from trimtab.ledger.engine import Database
from trimtab.origin import commands
from trimtab.origin.mirror import BRANCH, address, no_branch, reaching
from trimtab.predictions.opening import open_log
from trimtab.registry.mlflow_store import Store
from trimtab.settings import Settings


@dataclass(frozen=True)
class Places:
    """The stores, as commands see them that take `seconds` at most."""

    stores: Settings
    seconds: float

    @cached_property
    def params_text(self) -> str:
        """The text of `params.yaml` at the origin's newest commit.

        Raises:
            StoreUnreachable: The git server does not answer.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._git("clone", "-q", "--bare", "--branch", BRANCH, address(self.stores.origin), folder)
            return self._git("show", f"HEAD:{params.FILE}", cwd=Path(folder))

    @property
    def params(self) -> params.Params:
        """The parameters at the origin's newest commit.

        Raises:
            StoreUnreachable: The git server does not answer.
        """
        return params.parse(self.params_text)

    def origin(self) -> str:
        """Ask the git server for the newest commit."""
        listed = self._git("ls-remote", address(self.stores.origin), f"refs/heads/{BRANCH}")
        if not listed:
            raise no_branch(self.stores)
        return f"at commit {listed[:10]}"

    def remote(self) -> str:
        """Push, pull and delete a probe."""
        command = [sys.executable, "-m", "trimtab.ops.doctor.probing"]
        with reaching(self.stores, "dvc_remote"):
            return commands.run(command, cwd=None, seconds=self.seconds).strip()

    def mlflow(self) -> str:
        """Count the registered versions."""
        return f"{len(Store(self.stores.mlflow).stages(self.params.model.name))} versions"

    def ledger(self) -> str:
        """Refuse a ledger with another schema than this code needs."""
        Database(self.stores.ledger).check()
        return "has this code's schema"

    def predictions(self) -> str:
        """Count the predictions."""
        return f"{open_log(self.stores.prediction_log, self.params.predictions).count()[0]} predictions"

    def _git(self, *words: str, cwd: Path | None = None) -> str:
        with reaching(self.stores, "origin"):
            return commands.git(*words, cwd=cwd, seconds=self.seconds)
