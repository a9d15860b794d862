"""`python -m tests.verify.drift`: a real Airflow meets an abrupt change of concept, and must deploy within three batches.

Two generated streams are played, one batch after the other. In the second one, every candidate is worse than a constant
after the change, and a deployment must come all the same.
"""

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from examples.flights.flights import Week
from examples.flights.progress import Progress
from examples.flights.watch import Watch
from tests.support import playground
from tests.support.moments import SMALL
from trimtab import params
from trimtab.evaluate.record import BASELINE
from trimtab.evaluate.regret import regret
from trimtab.ledger import Answer, Batch, Measurement, Wait, batch_key
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import Loop, open_loop
from trimtab.replay.streams import WEEK, Stream, stream_params
from trimtab.stack import airflow_api, control
from trimtab.trigger.standing import standing

WITHIN = 3
"""Number of batches within which a deployment must come; the first is the one with which the concept changes."""
ABRUPT = Stream(kind="abrupt", seed=7, batches=10, rows=300)
WORSE_THAN_A_CONSTANT = Stream(kind="abrupt", seed=8, batches=10, rows=300)
START = 4
FIRST_MEASURED = START - 3
"""Number of the batch through which the first models are fitted."""
HEALTHY_SECONDS, STEP_SECONDS = 180, 600


def main() -> int:
    """Play both streams; the exit status is 1 if a deployment came too late."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    faults = []
    for stream, what in (
        (ABRUPT, "followed"),
        (WORSE_THAN_A_CONSTANT, "not followed by any candidate at first"),
    ):
        print(f"\nAn abrupt change, {what} (stream {stream.name}, {stream.rows} rows a batch)", flush=True)
        with stack() as home:
            faults += play(Player(home), stream, must_lose=stream is WORSE_THAN_A_CONSTANT)
    print("\n" + ("\n".join(faults) or f"Both deployments came within {WITHIN} batches of the change."))
    return int(bool(faults))


@contextmanager
def stack() -> Iterator[Path]:
    """Run Airflow, MLflow and the service on a small loop for streams; yield its home, and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="trimtab-drift-"))
    home, tree = folder / "var", playground.tree(folder / "tree", **changes())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in playground.environment(home).items():
            patch.setenv(name, value)
        patch.delenv("MLFLOW_TRACKING_URI")
        playground.use_free_ports(patch)
        try:
            initialise(tree)
            control.start(home, tree)
            control.wait_healthy(home, HEALTHY_SECONDS)
            patch.setenv("MLFLOW_TRACKING_URI", control.addresses(home).mlflow)
            yield home
        finally:
            control.stop(home)
            shutil.rmtree(folder, ignore_errors=True)


def changes() -> Mapping[str, object]:
    """Return the changes to `params.yaml`: a small loop with two candidates, for the columns of a stream."""
    of_stream = stream_params(params.load(playground.ROOT / params.FILE))
    data = of_stream.data.model_dump(mode="json", include={"features", "label", "timezone"})
    return {
        **SMALL,
        **{f"data__{name}": value for name, value in data.items()},
        "gate__slices": of_stream.gate.slices,
        "gate__block_hours": None,
        "train__start_batches": START,
        "train__windows": ["all", 4],
    }


class Player:
    """Lands one batch after the other in a running stack."""

    def __init__(self, home: Path) -> None:
        self.loop: Loop = open_loop()
        self._watch = Watch(airflow_api.connect(home), home, Progress())

    def take_in(self, week: Week, *, measured: bool) -> None:
        """Land a batch, and wait until the loop has measured it, if it will, and has answered what it then asked for."""
        playground.land(self.loop.stores.landing, week.batch, week.rows, week)
        self._watch.trigger("ingest_batch", week.batch, {"batch": week.batch})
        done = partial(
            self.loop.ledger.keys, Measurement if measured else Batch, prefix=batch_key(week.batch, 1)
        )
        what = f"{week.batch} to be {'measured' if measured else 'ingested'}"
        self._watch.until(what, done, seconds=STEP_SECONDS)
        self._watch.until("the loop to answer", self._watch.quiet, seconds=STEP_SECONDS)


def play(player: Player, stream: Stream, *, must_lose: bool) -> list[str]:
    """Land the batches until a model is deployed after the change; print a line for each, and return what is wrong.

    Args:
        player: Of an empty loop.
        stream: With one abrupt change.
        must_lose: Every candidate has to be worse than the baseline from the change to the deployment.
    """
    (change,) = stream.drifts
    losing, decided = True, 0
    for number, week in enumerate(islice(weeks(stream), change + WITHIN)):
        player.take_in(week, measured=number >= FIRST_MEASURED)
        mark = "change" if number == change else ""
        print(f"{week.batch}  {mark:<6}  {line(player.loop, week.batch, decided)}", flush=True)
        answers = [answer for answer in player.loop.ledger.all(Answer) if answer.id > decided]
        decided = max((answer.id for answer in answers), default=decided)
        deployed = any(answer.action == "DEPLOY" for answer in answers)
        if number == change - 1 and player.loop.champion() is None:
            return [f"{stream.name}: there was no champion before the change"]
        if number >= change:
            losing = losing and all_lose(player.loop, week.batch)
            if deployed and must_lose and not losing:
                return [f"{stream.name}: a candidate was better than the baseline before the deployment"]
            if deployed:
                print(f"Deployed after {number - change + 1} of at most {WITHIN} batches", flush=True)
                return []
    return [f"{stream.name}: no deployment within {WITHIN} batches of the change"]


def weeks(stream: Stream) -> Iterator[Week]:
    """Yield the batches of a stream."""
    for batch, rows in stream.frames():
        end = stream.ends[batch]
        yield Week(batch=batch, start=end - WEEK, end=end, partial=False, rows=rows)


def line(loop: Loop, batch: str, decided: int) -> str:
    """Say what was measured on a batch, and what was answered or said to wait for after the fact with id `decided`."""
    measurement = loop.ledger.get(Measurement, batch_key(batch, 1))
    if measurement is None or not measurement.scores:
        return "no model is there to be scored"
    losses = {"champion": measurement.champion or "", **measurement.shadows, "baseline": BASELINE}
    said = [
        f"{name} {measurement.scores[model].loss:.3f}" if model in measurement.scores else f"{name} –"
        for name, model in losses.items()
    ]
    now = standing(loop.ledger, loop.params)
    tenure = next((each for each in reversed(now.tenures) if each.since < len(now.record)), None)
    if tenure is not None:
        since = now.record[tenure.since :]
        lost = regret(now.record, since, champion=tenure.model, leader=measurement.leader)
        said.append(f"regret {lost.share:+.1%}")
    newest = max(
        (fact for kind in (Answer, Wait) for fact in loop.ledger.all(kind) if fact.id > decided),
        key=lambda fact: fact.id,
        default=None,
    )
    if isinstance(newest, Answer):
        said.append(f"{newest.action}: {newest.reason}")
    else:
        said.append("nothing is asked" if newest is None else f"WAIT: {newest.reason}")
    return ", ".join(said)


def all_lose(loop: Loop, batch: str) -> bool:
    """Say whether all candidates lost more on a batch than the baseline."""
    measurement = loop.ledger.require(Measurement, batch_key(batch, 1))
    baseline = measurement.scores[BASELINE].loss
    return all(measurement.scores[model].loss > baseline for model in measurement.shadows.values())


if __name__ == "__main__":
    sys.exit(main())
