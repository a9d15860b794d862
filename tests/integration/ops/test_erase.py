"""Rows are erased from a loop that knows them in every place that one can get to."""

import hashlib
import itertools
import json
import threading
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.support import playground
from tests.support.commands import trimtab
from tests.support.predictions import add_outcomes, outcome, prediction
from tests.support.processes import killed
from trimtab.errors import Unfit, Unknown
from trimtab.ledger import Batch, Erasure, ErasureEnd, QuarantineAction, Shadow, Version, state
from trimtab.loop import ingest, quarantine
from trimtab.loop.loop import Loop
from trimtab.ops.backup import backup
from trimtab.ops.erasure.erase import TAG, erase_rows
from trimtab.predictions import dead_letters
from trimtab.predictions.opening import open_log
from trimtab.predictions.records import encode
from trimtab.predictions.spool import Spool
from trimtab.views import history

FEATURES = ["carrier", "dest", "distance", "sched_hour", "temp", "plane_year"]
"""Enough to know a row again of which MLflow keeps the features only."""


@dataclass(frozen=True)
class Case:
    """Two rows of a batch that was trained on; every place knows of the first, and MLflow has a sample of each."""

    batch: str
    frame: pd.DataFrame
    ids: tuple[str, str]

    @property
    def rows(self) -> pd.DataFrame:
        return self.frame[self.frame["row_id"].isin(self.ids)]


def spread(loop: Loop) -> Case:
    """Bring a row of a batch to every place that can hold one."""
    week = playground.weeks()[0]
    frame = playground.thin(week)
    sampled = pd.concat(map(pd.read_parquet, loop.stores.home.parent.glob("mlruns/*/*/*/reference.parquet")))
    in_sample = frame.merge(sampled[FEATURES].drop_duplicates(), on=FEATURES)["row_id"].iloc[-1]
    row = frame["row_id"][0]  # MLflow's example is of the first rows
    with closing(open_log(loop.stores.prediction_log, loop.params.predictions)) as log:
        log.add([prediction("p", row, model=loop.model), prediction("q", "another", model=loop.model)])
        add_outcomes(log, outcome(row, model=loop.model), outcome("another", model=loop.model))
    _refuse(loop, frame[:1])
    _spool(loop, row)
    _orphan(loop, frame[:2])
    playground.land(loop.stores.landing, "later", frame[:3], playground.weeks()[9])
    return Case(week.batch, frame, (row, in_sample))


def _refuse(loop: Loop, mine: pd.DataFrame) -> None:
    """One batch of which a row is refused because it is there twice, and one that is refused as a whole for that."""
    for number, of in ((5, slice(None)), (6, slice(0))):
        week = playground.weeks()[number]
        frame = playground.thin(week)
        mine = mine.assign(event_time=frame["event_time"][0], label_known_at=frame["label_known_at"].max())
        playground.land(loop.stores.landing, week.batch, pd.concat([frame[of], mine, mine]), week)
        said = ingest.ingest(week.batch)
    entries = [action.entry for action in loop.ledger.all(QuarantineAction)]
    assert (mine["row_id"].iloc[0],) in [entry.row_ids for entry in entries]
    assert mine["row_id"].iloc[0] not in said["reason"]


def _spool(loop: Loop, row: str) -> None:
    spool = Spool(loop.stores.spool, most_bytes=1e6, batch=10, queue=10)
    spool.append([prediction("in spool", row, model=loop.model), prediction("stays", "another")])
    spool.close()
    dead_letters.append(loop.stores.spool, prediction("aside", row), "too large")
    dead_letters.append(loop.stores.spool, encode(prediction("other", "another")), "too large")


def _orphan(loop: Loop, rows: pd.DataFrame) -> None:
    """Leave an object that no pointer names, as an ingest that lost its race does."""
    content = rows.to_parquet(index=False)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    path = Path(loop.stores.dvc_remote) / "files" / "md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def places_of(loop: Loop, *rows: str) -> set[str]:
    """Search all that lies below the home folder and beside it, parquet read, for row ids."""
    place, places = loop.stores.home.parent, set()
    for path in place.rglob("*"):
        name = path.relative_to(place)
        if path.is_file() and name.parts[0] != "tree" and any(row.encode() in _text(path) for row in rows):
            places.add("/".join(name.parts[:2]).removesuffix("-wal"))
    return places


def _text(path: Path) -> bytes:
    content = path.read_bytes()
    return pd.read_parquet(path).to_csv().encode() if content[:4] == b"PAR1" else content


def samples_of(loop: Loop, rows: pd.DataFrame) -> Counter[str]:
    """Search what MLflow keeps, and its copies, for the features of rows; return how many files of each name have them."""
    place, samples = loop.stores.home.parent, Counter[str]()
    for path in [*place.glob("mlruns/**/*"), *place.glob("var/models/**/*")]:
        if path.name == "reference.parquet" or path.name.endswith("example.json"):
            if len(_features(path)[FEATURES].merge(rows[FEATURES], on=FEATURES)):
                samples[path.name] += 1
    return samples


def _features(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    content = json.loads(path.read_bytes())
    if "rows" in content:
        return pd.DataFrame(content["rows"])
    return pd.DataFrame(**content.get("dataframe_split", content))


def test_erased_rows_are_nowhere_and_the_loop_goes_on(
    led: Loop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = spread(led)
    before, champion = places_of(led, *case.ids), led.champion()
    homes = (
        "dvc-remote",
        "dvc-cache",
        "quarantine",
        "landing",
        "spool",
        "ledger.db",
        "predictions.db",
    )
    assert before == {f"var/{name}" for name in homes}
    assert len(led.ledger.all(Version)) < len(fitted := led.ledger.all(Shadow))
    samples = samples_of(led, case.rows)
    assert samples.pop("reference.parquet") > 0, "drawn at random"
    examples = ("example.json", "input_example.json", "serving_input_example.json")
    assert samples == dict.fromkeys(examples, len(fitted)), "also of models that were never registered"
    meant = erase_rows(case.ids, actor="ann", reason="article 17", dry_run=True)
    assert places_of(led, *case.ids) == before and led.ledger.all(Erasure) == []
    capsys.readouterr()

    assert trimtab("ops", "erase", *case.ids, "--reason", "article 17", "--by", "ann") == 0

    said = json.loads(capsys.readouterr().out)
    assert {**said, "dry_run": True} == json.loads(json.dumps(asdict(meant)))
    assert places_of(led, *case.ids) == set()
    assert not samples_of(led, case.rows)
    assert led.champion() == champion
    _keeps_the_rest(led, case)
    _says_so(led, case)
    _stays_away(led, case, tmp_path)


def _keeps_the_rest(loop: Loop, case: Case) -> None:
    (batch,) = state.batches_in_force(loop.ledger.all(Batch, prefix=f"{case.batch}:r"))
    stored = loop.origin.fetch_batch(case.batch, md5=batch.md5, commit=batch.commit)
    assert stored["row_id"].tolist() == case.frame[~case.frame["row_id"].isin(case.ids)]["row_id"].tolist()
    assert (batch.manifest.revision, batch.manifest.rows) == (2, len(stored))
    with closing(open_log(loop.stores.prediction_log, loop.params.predictions)) as log:
        assert log.count() == (1, 1)
    (left,) = loop.stores.spool.glob("*.jsonl")
    assert "stays" in left.read_text() and "other" in (loop.stores.spool / dead_letters.FILE).read_text()
    assert "got a duplicate" in quarantine.table()
    assert (
        pd.read_parquet(loop.stores.landing / "later.parquet")["row_id"].tolist()
        == stored["row_id"][:2].tolist()
    )


def _says_so(loop: Loop, case: Case) -> None:
    why = (
        "erased",
        "ann",
        f"article 17: 2 row(s), in batches {case.batch}, 2013-W30; can no longer be rebuilt: 1",
    )
    for name in (case.batch, "1"):
        assert why in [(entry.what, entry.actor, entry.text) for entry in history.why(name)]
    key = loop.ledger.all(Erasure)[-1].key
    sentence = f"no: trained on rows that were erased since (erasure {key})"
    assert loop.registry.find_by_tag(loop.model, TAG, sentence) == ["1"]
    assert [entry.what for entry in history.history(2)] == ["erasing", "erased"]


def _stays_away(loop: Loop, case: Case, folder: Path) -> None:
    """Neither a backup nor the original file brings the rows back, and what is measured next can be measured."""
    backup(folder)
    week = playground.weeks()[0]
    playground.land(loop.stores.landing, week.batch, case.frame, week)
    assert ingest.ingest(week.batch)["outcome"] == "ingested"
    assert places_of(loop, *case.ids) == set()
    with pytest.raises(Unknown, match="Expected row ids that are in a store, got 'nobody'"):
        erase_rows([case.ids[0], "nobody"], actor="ann", reason="article 17")
    with pytest.raises(Unfit, match="The reason contains a row id"):
        erase_rows(case.ids, actor="ann", reason=f"row {case.ids[0]}")


def test_killed_anywhere_the_same_command_ends_it(led: Loop) -> None:
    case = spread(led)
    before, record = led.origin.head(), led.ledger.all(Batch)[0]
    branch = Path(led.stores.origin) / "refs" / "heads" / "main"

    def revised() -> bool:
        return branch.read_text().strip() != before

    def removed() -> bool:
        return not (Path(led.stores.dvc_remote) / "files" / "md5" / record.md5[:2] / record.md5[2:]).exists()

    for reached in (revised, removed):
        assert not reached()
        killed(["ops", "erase", *case.ids, "--reason", "article 17", "--by", "ann"], reached)
        assert len(led.ledger.all(Erasure)) == 1 and led.ledger.all(ErasureEnd) == []
        assert places_of(led, *case.ids)
    done = erase_rows(case.ids, actor="another", reason="another")
    assert places_of(led, *case.ids) == set()
    assert not samples_of(led, case.rows)
    _keeps_the_rest(led, case)
    _says_so(led, case)
    assert record.md5 in done.objects and done.versions == ("1",)
    assert (
        erase_rows(case.ids, actor="ann", reason="article 17").objects == ()
    )  # again finds nothing, and says so


def test_a_version_that_was_deleted_in_mlflow_stops_no_erasure(led: Loop) -> None:
    MlflowClient(led.registry.uri).delete_model_version(led.model, "1")
    row = playground.thin(playground.weeks()[0])["row_id"][0]
    assert erase_rows([row], actor="ann", reason="article 17").versions == ("1",)
    assert led.ledger.keys(Erasure) == led.ledger.keys(ErasureEnd)
    assert places_of(led, row) == set()


def test_a_row_that_is_served_meanwhile_is_found_again_and_the_same_command_ends_it(led: Loop) -> None:
    row, ended = playground.thin(playground.weeks()[0])["row_id"][0], threading.Event()

    def serve() -> None:
        with closing(open_log(led.stores.prediction_log, led.params.predictions)) as log:
            for number in itertools.count():
                log.add([prediction(f"meanwhile {number}", row, model=led.model)])
                if ended.wait(0.005):
                    return

    service = threading.Thread(target=serve)
    service.start()
    try:
        with pytest.raises(
            Unfit, match="One of the rows was written again .*prediction log.*same command again"
        ):
            erase_rows([row], actor="ann", reason="article 17")
    finally:
        ended.set()
        service.join()
    assert led.ledger.keys(Erasure) and led.ledger.keys(ErasureEnd) == []
    assert erase_rows([row], actor="ann", reason="article 17").in_log >= 1
    assert led.ledger.keys(Erasure) == led.ledger.keys(ErasureEnd)
    assert places_of(led, row) == set()
