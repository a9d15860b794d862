"""Every error that trimtab raises on purpose.

Each message says what was expected, what came, where, and what to do now; it is built here, so that no two raise sites
word it differently.

    TrimtabError
    ├── ParamsError          params.yaml (or a UI override) is wrong
    ├── BatchRejected        a whole batch breaks the contract; it goes to quarantine
    ├── RequestRejected      a prediction or feedback request breaks the contract; HTTP 422
    ├── NotEnoughBatches     too little data for a training and a judgement
    ├── OneClass             the rows to train on hold labels of one class only
    ├── UnknownQuarantine    no such entry waits in quarantine
    ├── StoreUnreachable     origin, DVC remote, MLflow, ledger or prediction log does not answer
    │   └── SpoolRefused     what waits for the prediction log has no room on this machine either
    ├── CommandFailed        a git, dvc or MLflow Project command ended with an error
    ├── OriginConflict       the origin moved too often while we pushed
    ├── LeaseHeld            another run holds the lease
    ├── Unknown              no version, batch or time of that name
    ├── OrderRefused         what a person ordered cannot be done
    ├── GateDead             the gate judged a probe wrongly; nothing is promoted by it
    ├── ModelBroken          a model answers with what is no number
    ├── UnsafeModel          a model file's digest or types are not what the ledger and the trust list say
    ├── ReviewRefused        what a pull request's run handed over cannot be shown
    ├── GitHubRefused        GitHub does not answer, or not with a success
    ├── RunFailed            a run of the loop that the demo waited for failed, or did not end in time
    └── Unfit                the machine or the environment cannot run this (port, disk, Python, git)
"""

import textwrap
from collections.abc import Mapping, Sequence


class TrimtabError(Exception):
    """Anything that trimtab refuses, with the reason and the way out in its text."""


class ParamsError(TrimtabError):
    """A value in `params.yaml` that cannot be used."""

    def __init__(self, file: str, key: str, expected: str, got: object) -> None:
        super().__init__(f"{file}: {key}: {expected}, got {textwrap.shorten(repr(got), 120)}")


class BatchRejected(TrimtabError):
    """A batch that breaks the contract as a whole."""

    def __init__(self, batch: str, reason: str) -> None:
        super().__init__(f"Batch {batch!r}: {reason}")
        self.batch = batch
        self.reason = reason


class RequestRejected(TrimtabError):
    """A request to the model service that breaks the contract, with one entry a fault: row, field, expected, got."""

    def __init__(self, faults: Sequence[Mapping[str, object]]) -> None:
        super().__init__(f"{len(faults)} fault(s), the first: {dict(faults[0])}")
        self.faults = [dict(fault) for fault in faults]


class NotEnoughBatches(TrimtabError):
    """Fewer labelled batches than a training and a judgement need."""

    def __init__(self, have: int, need: int, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {need} labelled batches, there are {have}. Ingest more, or lower the number in params.yaml."
        )


class OneClass(TrimtabError):
    """Labels of one class only, from which a classifier learns nothing."""

    def __init__(self, rows: int, got: Sequence[object]) -> None:
        super().__init__(
            f"A training needs labels of at least two classes, {rows} rows hold {', '.join(map(repr, got)) or 'none'} only. "
            f"Look at where the labels come from, or train on more batches (train.window_batches)."
        )


class UnknownQuarantine(TrimtabError):
    """No quarantined entry of that name waits."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"No open quarantine entry is called {name!r}; open now: {', '.join(known) or 'none'}. "
            f"See `trimtab quarantine list`."
        )


class StoreUnreachable(TrimtabError):
    """One of the five stores does not answer; `store` is its name in a sentence."""

    store = "A store"

    def __init__(self, store: str, url: str, variable: str, cause: object) -> None:
        self.store = store
        super().__init__(
            f"{store} at {url} does not answer ({cause}). Check that it runs and that {variable} names it; nothing was "
            f"written, the task can be retried."
        )


class SpoolRefused(StoreUnreachable):
    """A prediction or an outcome that can neither be written nor kept until it can."""

    def __init__(self, folder: object, reason: object) -> None:
        TrimtabError.__init__(
            self,
            f"The spool of the prediction log at {folder} takes no more ({reason}). Bring the log that "
            f"TRIMTAB_PREDICTION_LOG_URL names back, or make room; nothing was accepted, it can be sent again.",
        )


class CommandFailed(TrimtabError):
    """A command that trimtab ran for you ended with an error."""

    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"`{' '.join(command)}` ended with {code}:\n{output.strip()[-2000:]}")
        self.output = output


class OriginConflict(TrimtabError):
    """The compare-and-swap push to the origin lost every race."""

    def __init__(self, url: str, tries: int) -> None:
        super().__init__(
            f"The origin at {url} moved {tries} times while a batch was pushed; nothing was written, the task can be "
            f"retried."
        )


class LeaseHeld(TrimtabError):
    """Another run does this work now."""

    def __init__(self, name: str, holder: str, until: object) -> None:
        super().__init__(
            f"The lease {name!r} is held by {holder!r} until {until}. Clear the task again after that, or end that run."
        )


class Unknown(TrimtabError):
    """A name that the ledger does not know."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"Expected {expected}, got {got!r}. See `trimtab history`.")


class OrderRefused(TrimtabError):
    """What a person ordered cannot be done; nothing was changed."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"Expected {expected}, got {got}. Nothing was changed.")


class UnsafeModel(TrimtabError):
    """A model file that must not be loaded."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"Model {source}: {reason}. It was not loaded.")


class ModelBroken(TrimtabError):
    """A model that answers with something that is no number."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"Version {version} answered with NaN or infinity; nothing was logged. Roll back: trimtab rollback --reason ..."
        )


class GateDead(TrimtabError):
    """A gate that does not tell a good model from a bad one."""

    def __init__(self, found: Mapping[str, str]) -> None:
        said = ", ".join(f"{name}: {kind}" for name, kind in found.items())
        super().__init__(
            f"The gate is dead: expected its probes to be judged bad: REJECT, edge: not PROMOTE, good: PROMOTE, got {said}. "
            f"Nothing was promoted. Look at the gate section of params.yaml (min_gain, error) and at evaluate/."
        )


class ReviewRefused(TrimtabError):
    """What a run of foreign code handed over is not what it should be; nothing of it is shown."""

    def __init__(self, file: str, expected: str, got: str) -> None:
        super().__init__(
            f"{file}: expected {expected}, got {got}. No comment was written. Look at the run of the pull request."
        )


class GitHubRefused(TrimtabError):
    """A call of GitHub's API without success."""

    def __init__(self, method: str, path: str, got: str) -> None:
        super().__init__(
            f"{method} {path}: expected a success of GitHub, got {got}. Check the job's permissions (pull-requests: "
            f"write) and GitHub's status, then run the job again."
        )


class RunFailed(TrimtabError):
    """A run of the loop ended badly, or did not come to an end in time."""

    def __init__(self, expected: str, got: str, look_at: object) -> None:
        super().__init__(f"Expected {expected}, got {got}. Look at {look_at}")


class Unfit(TrimtabError):
    """The machine or environment lacks something."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
