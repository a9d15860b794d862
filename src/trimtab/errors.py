"""Every error that trimtab raises on purpose.

Each message says what was expected, what came instead, where, and what to do. The exception builds it, so that all places
that raise it use the same words, and takes secrets out of it.

    TrimtabError
    ├── ParamsError          a value in params.yaml, or an override from the UI, is wrong
    ├── SettingsError        an environment variable is wrong, or missing
    ├── BatchRejected        a whole batch breaks the data contract; it goes to quarantine
    ├── RequestRejected      a prediction or feedback request breaks the data contract; HTTP 422
    ├── NotEnoughBatches     there is too little data to train and to judge
    ├── OneClass             the rows to train on have labels of a single class
    ├── UnknownQuarantine    quarantine has no open entry of that name
    ├── StoreUnreachable     origin, DVC remote, MLflow, ledger or prediction log does not answer
    │   └── SpoolRefused     the prediction log does not answer, and the spool takes no more
    ├── CommandFailed        a git, DVC or MLflow Project command failed
    ├── OriginConflict       other pushes to the origin came first each time
    ├── LeaseHeld            another run holds the lease
    ├── LeaseLost            another run took the lease over while this one was paused
    ├── Conflict             another process decided first; the caller reads again
    ├── RunOver              a task belongs to a run that has ended
    ├── Unknown              no version, batch or time of that name
    ├── OrderRefused         an operator's order cannot be carried out
    ├── GateDead             the gate judged a probe wrongly, so that nothing is promoted
    ├── ModelBroken          a model predicted NaN or infinity
    ├── UnsafeModel          a model file's digest is not that of the ledger, or a type in it is not trusted
    ├── ReviewRefused        what the run of a pull request handed over cannot be shown
    ├── GitHubRefused        GitHub does not answer, or answers with an error
    ├── RunFailed            a run that the demo waited for failed, or took too long
    └── Unfit                the machine or environment cannot run this (port, disk, Python, git)
"""

import textwrap
from collections.abc import Mapping, Sequence

from trimtab.redaction import redact


class TrimtabError(Exception):
    """An error whose message says the reason and what to do, without secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


class ParamsError(TrimtabError):
    """A value in `params.yaml` that cannot be used."""

    def __init__(self, file: str, key: str, expected: str, got: object) -> None:
        super().__init__(f"{file}: {key}: {expected}, got {textwrap.shorten(redact(repr(got)), 120)}")


class SettingsError(TrimtabError):
    """An environment variable that cannot be used, or is missing."""

    def __init__(self, variable: str, expected: str, got: object) -> None:
        super().__init__(f"{variable}: {expected}, got {got!r}. See docs/reference/settings.md.")


class BatchRejected(TrimtabError):
    """A batch that breaks the contract as a whole; the reason does not contain the ids of the rows that it is about."""

    def __init__(self, batch: str, reason: str, row_ids: Sequence[str] = ()) -> None:
        super().__init__(f"Batch {batch!r}: {reason}")
        self.batch = batch
        self.reason = redact(reason)
        self.row_ids = tuple(row_ids)


class RequestRejected(TrimtabError):
    """A request to the model service that breaks the contract; each of `faults` has row, field, expected and got."""

    def __init__(self, faults: Sequence[Mapping[str, object]]) -> None:
        super().__init__(f"{len(faults)} fault(s), the first: {dict(faults[0])}")
        self.faults = [dict(fault) for fault in faults]


class NotEnoughBatches(TrimtabError):
    """Fewer labelled batches than training and judging need."""

    def __init__(self, have: int, need: int, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {need} labelled batches, there are {have}. Ingest more, or lower the number in params.yaml."
        )


class OneClass(TrimtabError):
    """Labels of a single class, from which a classifier cannot learn."""

    def __init__(self, rows: int, got: Sequence[object]) -> None:
        super().__init__(
            f"A training needs labels of at least two classes, {rows} rows hold {', '.join(map(repr, got)) or 'none'} only. "
            f"Check the source of the labels, or train on more batches (train.windows)."
        )


class UnknownQuarantine(TrimtabError):
    """Quarantine has no open entry of that name."""

    def __init__(self, name: str, open_entries: Sequence[str]) -> None:
        super().__init__(
            f"No open quarantine entry is called {name!r}; open now: {', '.join(open_entries) or 'none'}. "
            f"See `trimtab batch quarantine list`."
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
    """A prediction or an outcome that neither the prediction log nor the spool takes."""

    def __init__(self, folder: object, reason: object) -> None:
        TrimtabError.__init__(
            self,
            f"The spool of the prediction log at {folder} takes no more ({reason}). Restore the log at "
            f"TRIMTAB_PREDICTION_LOG_URL, or free space; nothing was accepted, so the client can send it again.",
        )


class CommandFailed(TrimtabError):
    """A command that trimtab ran ended with an error."""

    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"`{' '.join(command)}` ended with {code}:\n{redact(output).strip()[-2000:]}")
        self.output = redact(output)


class OriginConflict(TrimtabError):
    """Other pushes to the origin came first each time that this one was tried."""

    def __init__(self, url: str, tries: int) -> None:
        super().__init__(
            f"The origin at {url} moved {tries} times while a batch was pushed; nothing was written, the task can be "
            f"retried."
        )


class LeaseHeld(TrimtabError):
    """Another run does this work now."""

    def __init__(self, name: str, holder: str, until: object) -> None:
        self.holder = holder
        super().__init__(
            f"The lease {name!r} is held by {holder!r} until {until}. Clear the task again after that, or end that run."
        )


class LeaseLost(TrimtabError):
    """Another run took over the lease of this one, which therefore may not write any more."""

    def __init__(self, name: str, holder: str, now: str | None) -> None:
        super().__init__(
            f"The lease {name!r} of {holder!r} expired and was taken over (it is now held by {now or 'nobody'}). Nothing "
            f"was written. Clear the run from its first task."
        )


class Conflict(TrimtabError):
    """Another process wrote facts that this decision should have been based on."""

    def __init__(self, kind: str, prefix: str) -> None:
        super().__init__(
            f"The ledger got a newer fact of kind {kind!r}{f' ({prefix})' if prefix else ''} while this was being decided. "
            f"Nothing was written; try again."
        )


class RunOver(TrimtabError):
    """A task of a run that has ended already."""

    def __init__(self, run: str, outcome: str, reason: str) -> None:
        super().__init__(
            f"Expected a run in progress, got {run}, which has {outcome} ({reason}). Clear the Airflow run from "
            f"`arbitrate`, which makes a new plan."
        )


class Unknown(TrimtabError):
    """A name that is not in the ledger."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"Expected {expected}, got {got!r}. See `trimtab model history`.")


class OrderRefused(TrimtabError):
    """An operator's order that cannot be carried out; nothing was changed."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"Expected {expected}, got {got}. Nothing was changed.")


class UnsafeModel(TrimtabError):
    """A model file that must not be loaded."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"Model {source}: {reason}. It was not loaded.")


class ModelBroken(TrimtabError):
    """A model that predicts NaN or infinity."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"Version {version} answered with NaN or infinity; nothing was logged. "
            "Roll back: trimtab model rollback --reason ..."
        )


class GateDead(TrimtabError):
    """A gate that does not distinguish a good model from a bad one."""

    def __init__(self, answers: Mapping[str, str], expected: Mapping[str, str]) -> None:
        right, got = (
            ", ".join(f"{probe}: {answer}" for probe, answer in each.items()) for each in (expected, answers)
        )
        super().__init__(
            f"The guard is dead: expected its probes to be judged {right}, got {got}. Nothing was deployed. Look at the "
            f"gate section of params.yaml (error, max_calibration_excess, min_blocks) and at trimtab.evaluate."
        )


class ReviewRefused(TrimtabError):
    """A file from the run of a pull request is not as expected; nothing of it is shown."""

    def __init__(self, file: str, expected: str, got: str) -> None:
        super().__init__(
            f"{file}: expected {expected}, got {got}. No comment was written. Look at the run of the pull request."
        )


class GitHubRefused(TrimtabError):
    """A call of GitHub's API failed."""

    def __init__(self, method: str, path: str, got: str) -> None:
        super().__init__(
            f"{method} {path}: expected GitHub to answer with success, got {got}. Check the job's permissions "
            f"(pull-requests: write) and GitHub's status, then run the job again."
        )


class RunFailed(TrimtabError):
    """A run of the loop failed, or did not end in time."""

    def __init__(self, expected: str, got: str, look_at: object) -> None:
        super().__init__(f"Expected {expected}, got {got}. Look at {look_at}")


class Unfit(TrimtabError):
    """The machine or environment lacks something that trimtab needs."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
