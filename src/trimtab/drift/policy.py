"""What the rule in `params.yaml` makes of an observation."""

from trimtab import params
from trimtab.contracts import Assessment, Source
from trimtab.ledger.facts import Observation


def assess(seen: Observation, wanted: params.Params) -> Assessment:
    """Say whether data or concept drifted, and which of it asks for a retraining by `drift.request_on`.

    When several ask, concept drift speaks before data drift, and both before age.
    """
    rule = wanted.drift
    data = seen.data.share > rule.data.max_share
    concept = seen.concept.sigmas is not None and seen.concept.sigmas > rule.concept.sigmas
    old = seen.champion_age_batches >= rule.max_age_batches
    sentences: dict[str, tuple[bool, Source, str]] = {
        "concept": (concept, "drift", _concept(seen, rule)),
        "data": (data, "drift", _data(seen, rule)),
        "age": (
            old,
            "age",
            f"version {seen.champion} was promoted {seen.champion_age_batches} batches ago, "
            f"drift.max_age_batches is {rule.max_age_batches}",
        ),
    }
    for name in ("concept", "data", "age"):
        found, source, sentence = sentences[name]
        if found and name in rule.request_on:
            return Assessment(source=source, data_drift=data, concept_drift=concept, reason=sentence)
    return Assessment(
        source=None,
        data_drift=data,
        concept_drift=concept,
        reason=f"nothing asks for a retraining: {_concept(seen, rule)}; {_data(seen, rule)}",
    )


def _concept(seen: Observation, rule: params.Drift) -> str:
    found = seen.concept
    if found.sigmas is None:
        return f"concept drift on batch {seen.batch} not judged: {found.abstained}"
    return (
        f"loss {found.score.loss:.4f} on batch {seen.batch} ({found.score.coverage:.0%} labelled) is "
        f"{found.sigmas:+.1f} sd from the {found.reference_mean:.4f} of fresh models (alarm above {rule.concept.sigmas:g})"
    )


def _data(seen: Observation, rule: params.Drift) -> str:
    names = [column.column for column in seen.data.columns if column.drifted]
    listed = f" ({', '.join(names)})" if names else ""
    return (
        f"{len(names)} of {len(seen.data.columns)} features of batch {seen.batch} drifted{listed} "
        f"(alarm above a share of {rule.data.max_share:g})"
    )
