"""`trimtab model reproduce`: train a registered version again from what was recorded, and compare the two models.

The training is logged in an MLflow experiment of its own. Nothing is registered, and no stage changes.
"""

import logging
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from sklearn.pipeline import Pipeline

from trimtab.contracts import Fitted, Plan, Training, from_json, from_plain
from trimtab.data.recipes import with_recipe
from trimtab.errors import CommandFailed, Unfit
from trimtab.ledger import Erasure, Version
from trimtab.loop.loop import Loop, open_loop
from trimtab.ops import dvc_objects
from trimtab.ops.maintenance import exclusively
from trimtab.origin.origin import md5_of, pointer
from trimtab.params import Params
from trimtab.project.prepare import ROWS
from trimtab.project.train import FITTED
from trimtab.registry import load, tracking, training_record
from trimtab.registry.training_record import TrainingRecord
from trimtab.train import fit, row_groups
from trimtab.trigger.planning import write_run

log = logging.getLogger(__name__)

_COMPARED_ROWS = 100_000
"""Largest number of training rows that both models predict, so that they fit in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """How a version differs from the model that was trained again.

    `difference` is the largest absolute difference of their predictions. `changes` has a line for each parameter and batch
    that differs, and `libraries` for each library whose version differs. The latter only explain a difference.

    >>> print(Reproduction(version="2", rows=900, bit_equal=False, difference=2e-12, tolerance=1e-9))
    Version 2 is reproduced: 900 predictions differ by at most 2e-12, the tolerance is 1e-09.
    """

    version: str
    rows: int
    bit_equal: bool
    difference: float
    tolerance: float
    changes: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether parameters and batches are equal, and predictions bit-equal or within the tolerance."""
        return not self.changes and (self.bit_equal or self.difference <= self.tolerance)

    def __str__(self) -> str:
        outcome = "reproduced" if self.equal else "not reproduced"
        differ = f"differ by at most {self.difference:g}, the tolerance is {self.tolerance:g}"
        predictions = f"{self.rows} predictions {'are bit-equal' if self.bit_equal else differ}"
        first = f"Version {self.version} is {outcome}: {predictions}."
        return "\n".join((first, *self.changes, *self.libraries))


def reproduce(name: str, *, tolerance: float, env_manager: str | None = None) -> Reproduction:
    """Train a version again, and compare both models on the rows that they were trained on.

    Args:
        name: The version.
        tolerance: Largest absolute difference of a prediction that counts as equal.
        env_manager: Environment of the MLflow Project. By default `train.env_manager` at the version's commit.

    Raises:
        Unknown: The ledger has no such version.
        Unfit: Its MLflow run, its commit or data that it needs is gone, or was erased.
        LeaseHeld: A backup, gc or an erasure is running. An erasure must not miss the samples that a training logs.
        CommandFailed: The training ended with an error.
        UnsafeModel: One of the two models cannot be loaded.
        StoreUnreachable: A store does not answer.
    """
    loop = open_loop()
    version = loop.ledger.require(Version, name)
    with exclusively(loop):
        recorded = training_record.read(version.training)
        parameters, md5s = _read_commit(loop, version, recorded.commit)
        _require_data(loop, version, md5s)
        loop.stores.work.mkdir(parents=True, exist_ok=True)
        # `trimtab ops gc` removes folders of this name that a killed process left behind.
        with tempfile.TemporaryDirectory(dir=loop.stores.work, prefix="clone-") as folder:
            checkout = Path(folder) / "clone"
            log.info("Clone commit %s of the origin, with %s batches", recorded.commit[:10], len(md5s))
            loop.origin.checkout(checkout, recorded.commit, list(md5s))
            training = _train(
                checkout, version, recorded.run_yaml, env_manager or parameters.train.env_manager
            )
            log.info("Compare the two models on their training rows")
            used = with_recipe(parameters, version.training.recipe)
            result = _compare(checkout, version, training, used, recorded, tolerance)
        tracking.tag(training.run_id, {"trimtab.reproduces": name, "trimtab.reproduction": str(result)})
        return result


def _read_commit(loop: Loop, version: Version, commit: str) -> tuple[Params, dict[str, str]]:
    """Return the parameters of a commit, and the MD5 of each batch that the version was trained on."""
    batches = [ref.batch for ref in version.training.batches]
    try:
        md5s = {batch: md5_of(loop.origin.show(pointer(batch), commit)) for batch in batches}
        return loop.origin.params(commit), md5s
    except CommandFailed as error:
        raise Unfit(
            f"Version {version.version}: expected commit {commit!r} with params.yaml and its batches in the origin, "
            f"got no such commit or file",
            "Push the commit to the origin again, or restore the origin from a backup.",
        ) from error


def _require_data(loop: Loop, version: Version, md5s: Mapping[str, str]) -> None:
    for erasure in loop.ledger.all(Erasure):
        if version.version in erasure.versions:
            raise Unfit(
                f"Version {version.version}: expected all rows that it was trained on, "
                f"got batches without the rows that were erased ({', '.join(erasure.batches)})",
                "Retrain to replace the version.",
            )
    with dvc_objects.remote(loop.stores) as remote:
        for batch, md5 in md5s.items():
            if not loop.origin.find_cached(md5) and not remote.has(md5):
                raise Unfit(
                    f"Version {version.version}: expected the data of batch {batch} (MD5 {md5}) in the DVC remote, "
                    f"got no such object",
                    "Restore the DVC remote from a backup.",
                )


def _train(checkout: Path, version: Version, run_yaml: str, env_manager: str) -> Training:
    """Run `prepare` and `train` of the checkout, for the version's own fit alone."""
    recorded, through = from_plain(Plan, yaml.safe_load(run_yaml)), version.training.batches[-1].batch
    (fit_again,) = (
        each for each in recorded.fits if (each.candidate, each.through) == (version.candidate, through)
    )
    plan = replace(recorded, fits=(fit_again,), scored=(), models=(), shadows={})
    write_run(checkout / "run.yaml", plan)
    for entry_point in ("prepare", "train"):
        log.info("Run %s of the MLflow Project, environment %s", entry_point, env_manager)
        with redirect_stdout(sys.stderr):
            tracking.project_run(
                checkout,
                entry_point,
                env_manager=env_manager,
                experiment=f"{plan.model}-reproductions",
                run_name=f"version-{version.version}-{entry_point}",
            )
    (fitted,) = from_json(list[Fitted], (checkout / FITTED).read_bytes())
    if fitted.training is None:
        raise Unfit(
            f"Version {version.version}: expected a model, got an error of the training: {fitted.error}",
            "Look at the environment of the MLflow Project: the libraries may be others by now.",
        )
    return fitted.training


def _compare(
    checkout: Path,
    version: Version,
    training: Training,
    parameters: Params,
    recorded: TrainingRecord,
    tolerance: float,
) -> Reproduction:
    rows = row_groups.read(checkout / ROWS).select([ref.batch for ref in version.training.batches])
    sample = rows.sample(_COMPARED_ROWS, parameters.model.seed)
    pipelines = [
        load.load(model.source, model.digest, parameters.model.trusted_types, cache=checkout / "models")
        for model in (version.training, training)
    ]
    first, second = (fit.predict(pipeline, parameters, sample) for pipeline in pipelines)
    again = training_record.read(training)
    return Reproduction(
        version=version.version,
        rows=len(sample),
        bit_equal=first.tobytes() == second.tobytes(),
        difference=float(np.abs(first - second).max(initial=0.0)),
        tolerance=tolerance,
        changes=(
            *_changes("parameter", recorded.parameters, again.parameters),
            *_changes("setting of the fitted estimator", *map(_settings, pipelines)),
            *_changes("batch", recorded.batches, again.batches),
        ),
        libraries=_changes("library", recorded.libraries, again.libraries),
    )


def _settings(pipeline: Pipeline) -> dict[str, str]:
    settings = pipeline.named_steps["estimator"].get_params()
    return {name: str(value) for name, value in settings.items()}


def _changes(kind: str, recorded: Mapping[str, str], reproduced: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each name whose values differ."""
    return tuple(
        f"{kind} {name}: recorded {recorded.get(name, 'nothing')}, reproduced {reproduced.get(name, 'nothing')}"
        for name in sorted(recorded.keys() | reproduced.keys())
        if recorded.get(name) != reproduced.get(name)
    )
