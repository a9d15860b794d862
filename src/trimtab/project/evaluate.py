"""`trimtab evaluate`: compare challenger and champion on rows that neither has seen, and write the gate's verdict."""

import json
import timeit
from pathlib import Path

import pandas as pd
from sklearn.pipeline import Pipeline

from trimtab import params, settings
from trimtab.contracts import (
    BatchScore,
    Block,
    ModelVersion,
    Plan,
    Training,
    Verdict,
    VerdictKind,
    champion_name,
    from_json,
    to_json,
)
from trimtab.data.batches import BATCH
from trimtab.errors import GateDead
from trimtab.evaluate import evidence, looks, probes
from trimtab.evaluate.checks import Measured, check_all
from trimtab.evaluate.compare import blocks_of
from trimtab.evaluate.gate import weigh
from trimtab.evaluate.scores import row_losses, score
from trimtab.registry import load, tracking
from trimtab.train import fit, row_groups
from trimtab.train.features import targets
from trimtab.trigger.planning import read_champion, read_run

_TIMED_ROWS = 1000
_TIMED_RUNS = 3


def evaluate(root: Path = Path()) -> Verdict:
    """Judge the model of `build/training.json`, and write the verdict and its evidence to `build/`.

    Raises:
        GateDead: The gate judged a probe wrongly, so no verdict can be trusted.
        UnsafeModel: The digest of a model is not the recorded one, or a type in its file is not trusted.
    """
    parameters, plan = params.load(root / params.FILE), read_run(root / "run.yaml")
    training = from_json(Training, (root / "build" / "training.json").read_bytes())
    rows = pd.read_parquet(root / "build" / "judge.parquet")
    champion, models = _models(root, parameters, training)
    gate = looks.gate_for(plan.champion, parameters.gate)
    probe_verdicts = _run_probes(root / "build", parameters)
    measured = _measure(parameters, rows, models, load.megabytes(training.digest, cache=_cache()))
    blocks = _blocks(plan, measured, gate)
    checks = check_all(measured, gate)
    weighed = weigh(blocks, checks, gate, look=plan.look, champion=champion_name(champion))
    verdict = Verdict(
        kind=weighed.kind,
        reason=weighed.reason,
        look=plan.look,
        comparison=weighed.comparison,
        blocks=blocks,
        checks=checks,
        probes=probe_verdicts,
        judged_on=plan.judge,
        champion=champion,
        challenger_scores=_scores_by_batch(measured, "challenger", gate),
        champion_scores=_scores_by_batch(measured, "champion", gate),
        cutoff=plan.cutoff,
    )
    _write(root, plan, verdict, gate)
    return verdict


def load_pipeline(parameters: params.Params, model: ModelVersion | Training) -> Pipeline:
    """Load a model as the service does."""
    return load.load(model.source, model.digest, parameters.model.trusted_types, cache=_cache())


def _run_probes(build: Path, parameters: params.Params) -> dict[str, VerdictKind]:
    """Run the probes. After a wrong verdict, write the file by which the DAG tells a dead gate from other failures."""
    try:
        return probes.run(parameters.gate, parameters.data.label)
    except GateDead as error:
        (build / probes.DEAD_GATE_FILE).write_text(str(error), encoding="utf-8")
        raise


def _models(
    root: Path, parameters: params.Params, training: Training
) -> tuple[str | None, dict[str, Pipeline]]:
    rows = row_groups.read(root / "build" / "train.parquet")
    baseline = fit.fit_rows(fit.baseline(parameters), parameters, rows)
    challenger = load_pipeline(parameters, training)
    version = read_champion(root / "champion.yaml")
    if version is None:
        return None, {"challenger": challenger, "champion": baseline}
    champion = load_pipeline(parameters, version)
    return version.version, {"challenger": challenger, "champion": champion, "baseline": baseline}


def _measure(
    parameters: params.Params, rows: pd.DataFrame, models: dict[str, Pipeline], megabytes: float
) -> Measured:
    label, metric, truths = parameters.data.label, parameters.gate.metric, targets(rows, parameters.data)
    predictions = {role: fit.predict(model, parameters, rows) for role, model in models.items()}
    return Measured(
        label=label,
        rows=rows,
        truths=truths,
        predictions=predictions,
        losses={role: row_losses(metric, label, truths, values) for role, values in predictions.items()},
        milliseconds_per_row=_milliseconds_per_row(models["challenger"], parameters, rows.head(_TIMED_ROWS)),
        model_megabytes=megabytes,
    )


def _milliseconds_per_row(model: Pipeline, parameters: params.Params, rows: pd.DataFrame) -> float:
    seconds = timeit.repeat(lambda: fit.predict(model, parameters, rows), number=1, repeat=_TIMED_RUNS)
    return 1000 * min(seconds) / max(1, len(rows))


def _blocks(plan: Plan, measured: Measured, gate: params.Gate) -> tuple[Block, ...]:
    batches, times = measured.rows[BATCH].tolist(), measured.rows["event_time"].tolist()
    new = blocks_of(batches, times, measured.losses["champion"], measured.losses["challenger"], gate)
    return (*plan.judged, *new)


def _cache() -> Path:
    return settings.read().home / "models"


def _scores_by_batch(measured: Measured, role: str, gate: params.Gate) -> tuple[BatchScore, ...]:
    predictions, truths = measured.predictions[role], measured.truths
    return tuple(
        score(str(batch), measured.label, truths[rows], predictions[rows], gate.metric)
        for batch, rows in measured.rows.groupby(BATCH, sort=False).indices.items()
    )


def _write(root: Path, plan: Plan, verdict: Verdict, gate: params.Gate) -> None:
    build = root / "build"
    (build / "verdict.json").write_text(to_json(verdict), encoding="utf-8")
    metrics = json.dumps(_metrics(verdict), indent=2, sort_keys=True)
    (build / "metrics.json").write_text(metrics, encoding="utf-8")
    means = [(block.champion / block.rows, block.challenger / block.rows) for block in verdict.blocks]
    pd.DataFrame(means, columns=["champion", "challenger"]).to_csv(build / "losses.csv", index_label="block")
    page = build / "evidence.html"
    page.write_text(evidence.page(verdict, gate), encoding="utf-8")
    tags = {"trimtab.commit": plan.commit, "trimtab.decision": plan.decision or "manual run"}
    with tracking.open_run(plan.model, tags=tags):
        tracking.log_verdict(verdict, page)


def _metrics(verdict: Verdict) -> dict[str, object]:
    comparison = verdict.comparison
    return {
        "verdict": verdict.kind,
        "gain": {"estimate": comparison.gain, "lower": comparison.lower, "upper": comparison.upper},
        "challenger": {
            "loss": comparison.challenger_loss,
            "auc": [batch.auc for batch in verdict.challenger_scores],
        },
        "champion": {
            "loss": comparison.champion_loss,
            "auc": [batch.auc for batch in verdict.champion_scores],
        },
        "blocks": comparison.blocks,
        "rows": comparison.rows,
    }
