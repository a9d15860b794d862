"""The five stores: does each answer, and is it of this code's form?"""

import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trimtab import params
from trimtab.errors import CommandFailed, StoreUnreachable, Unfit
from trimtab.ledger.ledger import Ledger
from trimtab.origin import commands
from trimtab.origin.mirror import BRANCH, address, unreachable
from trimtab.predictions.opening import open_log
from trimtab.registry.mlflow_store import Store
from trimtab.settings import Settings


@dataclass(frozen=True)
class Places:
    """The stores, asked by commands that take `seconds` at most."""

    stores: Settings
    seconds: float

    @cached_property
    def written(self) -> str:
        """The text of `params.yaml` at the origin's newest commit.

        Raises:
            StoreUnreachable: The git server does not answer.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._git("clone", "-q", "--bare", "--branch", BRANCH, address(self.stores.origin), folder)
            return self._git("show", f"HEAD:{params.FILE}", cwd=Path(folder))

    @property
    def params(self) -> params.Params:
        """What `written` says.

        Raises:
            StoreUnreachable: The git server does not answer.
        """
        return params.parse(self.written)

    def origin(self) -> str:
        """Ask the git server for the newest commit."""
        listed = self._git("ls-remote", address(self.stores.origin), f"refs/heads/{BRANCH}")
        if not listed:
            what = f"The origin at {commands.without_credentials(self.stores.origin)} has no branch {BRANCH}"
            raise Unfit(what, "Make it with `trimtab init`.")
        return f"at commit {listed[:10]}"

    def remote(self) -> str:
        """Push, pull and delete a probe."""
        words = [sys.executable, "-m", "trimtab.ops.doctor.probing"]
        try:
            return commands.run(words, cwd=None, seconds=self.seconds).strip()
        except CommandFailed as error:
            url = commands.without_credentials(address(self.stores.dvc_remote))
            raise StoreUnreachable(
                "The DVC remote", url, "TRIMTAB_DVC_REMOTE_URL", commands.cause(error)
            ) from error

    def mlflow(self) -> str:
        """Count the registered versions."""
        return f"{len(Store(self.stores.mlflow).stages(self.params.model.name))} versions"

    def ledger(self) -> str:
        """Refuse a ledger of another revision."""
        Ledger(self.stores.ledger).check()
        return "at this code's revision"

    def predictions(self) -> str:
        """Count the predictions."""
        return f"{open_log(self.stores.prediction_log, self.params.predictions).count()[0]} predictions"

    def _git(self, *words: str, cwd: Path | None = None) -> str:
        try:
            return commands.git(*words, cwd=cwd, seconds=self.seconds)
        except CommandFailed as error:
            raise unreachable(self.stores, error) from error
