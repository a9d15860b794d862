"""`trimtab evaluate`: challenger and champion on the same rows that neither has seen, and the gate's verdict."""

import json
from pathlib import Path

import pandas as pd
from sklearn.pipeline import Pipeline

from trimtab import params, stores
from trimtab.contracts import BatchScore, Plan, Training, Verdict, from_json, to_json
from trimtab.evaluate.compare import blocks_of, paired
from trimtab.evaluate.gate import judge
from trimtab.evaluate.scores import row_losses, score
from trimtab.registry import load, tracking
from trimtab.steps.prepare import BATCH
from trimtab.train import fit
from trimtab.trigger.planning import read_champion, read_run


def evaluate(root: Path = Path()) -> Verdict:
    """Judge the model of `build/training.json`; write `build/verdict.json`, `metrics.json` and `losses.csv`."""
    wanted, plan = params.load(root / params.FILE), read_run(root / "run.yaml")
    training = from_json(Training, (root / "build" / "training.json").read_bytes())
    rows = pd.read_parquet(root / "build" / "judge.parquet")
    name, champion = _champion(root, wanted)
    models = {"challenger": _load(wanted, training.source, training.digest), "champion": champion}
    labels = rows["label"].astype(int)
    answers = {role: pd.Series(fit.probabilities(model, wanted, rows)) for role, model in models.items()}
    losses = {
        role: row_losses(wanted.gate.metric, labels.tolist(), one.tolist()) for role, one in answers.items()
    }
    scores = {role: _by_batch(rows, labels, one, wanted) for role, one in answers.items()}
    verdict = judge(
        paired(losses["champion"], losses["challenger"], rows["event_time"].tolist(), wanted.gate),
        wanted.gate,
        judged_on=plan.judge,
        champion=name,
        challenger_scores=scores["challenger"],
        champion_scores=scores["champion"],
        cutoff=plan.cutoff,
    )
    _write(root, plan, verdict, rows.assign(**losses), wanted)
    print(verdict.reason, flush=True)
    return verdict


def _champion(root: Path, wanted: params.Params) -> tuple[str, Pipeline]:
    named = read_champion(root / "champion.yaml")
    if named is not None:
        return f"version {named.version}", _load(wanted, named.source, named.digest)
    rows = pd.read_parquet(root / "build" / "train.parquet")
    return "the baseline", fit.fit(fit.baseline(wanted), wanted, rows)


def _load(wanted: params.Params, source: str, digest: str) -> Pipeline:
    cache = stores.from_environment().home / "models"
    return load.load(source, digest, wanted.model.trusted_types, cache=cache)


def _by_batch(
    rows: pd.DataFrame, labels: "pd.Series[int]", answers: "pd.Series[float]", wanted: params.Params
) -> list[BatchScore]:
    return [
        score(str(batch), labels[group.index].tolist(), answers[group.index].tolist(), wanted.gate.metric)
        for batch, group in rows.groupby(BATCH, sort=False)
    ]


def _write(root: Path, plan: Plan, verdict: Verdict, rows: pd.DataFrame, wanted: params.Params) -> None:
    build, figures = root / "build", verdict.comparison
    (build / "verdict.json").write_text(to_json(verdict), encoding="utf-8")
    metrics = {
        "verdict": verdict.kind,
        "gain": {"estimate": figures.gain, "lower": figures.lower, "upper": figures.upper},
        "challenger": {
            "loss": figures.challenger_loss,
            "auc": [one.auc for one in verdict.challenger_scores],
        },
        "champion": {"loss": figures.champion_loss, "auc": [one.auc for one in verdict.champion_scores]},
        "blocks": figures.blocks,
        "rows": figures.rows,
    }
    (build / "metrics.json").write_text(json.dumps(metrics, indent=2, sort_keys=True), encoding="utf-8")
    blocks = rows.assign(block=blocks_of(rows["event_time"].tolist(), wanted.gate)).groupby("block")
    blocks[["champion", "challenger"]].mean().to_csv(build / "losses.csv")
    tags = {"trimtab.commit": plan.commit, "trimtab.decision": plan.decision or "a person's own run"}
    with tracking.evaluation(plan.model, tags=tags):
        tracking.log_verdict(verdict)
