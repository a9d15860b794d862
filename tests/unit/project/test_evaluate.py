"""Which models are scored on a batch (those that know nothing of it), and how they are timed."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from skops.io import dump

from tests.support.builders import MONDAY, in_file, sales, shops
from trimtab import files
from trimtab.contracts import BatchRef, Fit, Manifest, Plan, TrainedModel, Training, to_json
from trimtab.evaluate.record import BASELINE
from trimtab.project.evaluate import Project, rows_to_time
from trimtab.registry.load import MODEL_FILE
from trimtab.train.fit import build, fit

PARAMS = shops()
BATCHES = ("a", "b", "c", "d")
WEEK = timedelta(weeks=1)


def end(batch: str):
    return MONDAY + (BATCHES.index(batch) + 1) * WEEK


def manifest(batch: str) -> Manifest:
    return Manifest(
        model="m",
        batch=batch,
        revision=1,
        start=end(batch) - WEEK,
        end=end(batch),
        partial=False,
        rows=200,
        labelled=200,
        bad_rows=0,
        unseen={},
        source_sha256="ab",
    )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with four batches, and a home whose cache of models is empty."""
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    (tmp_path / "data" / "batches").mkdir(parents=True)
    for batch in BATCHES:
        (tmp_path / "data" / "batches" / f"{batch}.json").write_text(to_json(manifest(batch)))
    return tmp_path


def saved(root: Path, content: object) -> str:
    """Put a model file into the cache, as if it had been loaded before; return its digest."""
    draft = root / "draft"
    dump(content, draft)
    digest = files.digest(draft)
    (root / "home" / "models" / digest).mkdir(parents=True, exist_ok=True)
    draft.rename(root / "home" / "models" / digest / MODEL_FILE)
    return digest


def sound(root: Path) -> str:
    return saved(root, fit(build(PARAMS), PARAMS, sales()))


def planned(run_id: str, through: str, digest: str) -> TrainedModel:
    return TrainedModel(run_id=run_id, source="s", digest=digest, trained_through=end(through))


def trained(through: str, digest: str) -> tuple[Fit, Training]:
    training = Training(
        run_id=f"fitted through {through}",
        source="s",
        digest=digest,
        trained_through=end(through),
        rows=200,
        batches=(),
        seconds=1.0,
    )
    return Fit(candidate="all", through=through, window=None), training


def project(
    root: Path, models: Sequence[TrainedModel] = (), fits: Sequence[tuple[Fit, Training]] = ()
) -> Project:
    plan = Plan(
        model="m",
        commit="c",
        cutoff=end("d"),
        batches=tuple(BatchRef(batch=batch, revision=1) for batch in BATCHES),
        scored=BATCHES[1:],
        fits=(),
        models=tuple(models),
    )
    frames = {batch: sales(200, seed=number) for number, batch in enumerate(BATCHES)}
    return Project(root=root, parameters=PARAMS, plan=plan, rows=in_file(root, frames), trained=fits)


def test_a_planned_model_is_scored_on_the_batches_after_its_training_only(root: Path) -> None:
    ours = project(root, [planned("champion", "b", sound(root))])
    scored = {batch: list(ours.scores(batch, {})) for batch in BATCHES[1:]}
    assert scored == {"b": [BASELINE], "c": [BASELINE, "champion"], "d": [BASELINE, "champion"]}


def test_a_fitted_model_is_scored_on_the_batch_after_it_only(root: Path) -> None:
    digest = sound(root)
    ours = project(root, fits=[trained(batch, digest) for batch in ("a", "b", "c")])
    scored = {batch: list(ours.scores(batch, {}))[1:] for batch in BATCHES[1:]}
    assert scored == {"b": ["fitted through a"], "c": ["fitted through b"], "d": ["fitted through c"]}


def test_the_baseline_knows_only_the_batches_before(root: Path) -> None:
    ours = project(root)
    before = ours.scores("b", {})[BASELINE].loss
    shifted = Project(
        root=root,
        parameters=PARAMS,
        plan=ours.plan,
        rows=in_file(
            root,
            {
                batch: sales(200, seed=number) if batch in "ab" else sales(200).assign(label=1)
                for number, batch in enumerate(BATCHES)
            },
        ),
        trained=(),
    )
    assert shifted.scores("b", {})[BASELINE].loss == before


def test_a_model_that_cannot_be_loaded_has_no_score_and_stops_no_other(root: Path) -> None:
    failed: dict[str, str] = {}
    models = [planned("unsafe", "a", saved(root, {"no": "pipeline"})), planned("sound", "a", sound(root))]
    assert list(project(root, models).scores("c", failed)) == [BASELINE, "sound"]
    assert failed["unsafe"].startswith("no score on batch c: UnsafeModel: ")


def test_a_fitted_model_is_examined_on_its_newest_batch(root: Path) -> None:
    digest = sound(root)
    newest = trained("d", digest)
    examined = project(root, fits=[trained("c", digest), newest]).examine(*newest)
    assert examined.fault is None
    assert examined.distance == 0.0  # the model before is the same
    assert examined.milliseconds_per_row > 0 < examined.megabytes


def test_a_model_that_the_service_cannot_load_is_a_fault(root: Path) -> None:
    broken = trained("d", saved(root, {"no": "pipeline"}))
    examined = project(root, fits=[broken]).examine(*broken)
    assert str(examined.fault).startswith("the service cannot load it: ")


@pytest.mark.parametrize("rows", [30, 5000])
def test_a_model_is_timed_on_as_many_rows_whatever_the_size_of_the_batch(rows: int) -> None:
    assert len(rows_to_time(sales(rows))) == 1000
