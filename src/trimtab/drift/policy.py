"""What the rule in `params.yaml` makes of an observation."""

from trimtab.contracts import Assessment, Source
from trimtab.ledger import Observation
from trimtab.params import Drift, Params


def assess(observation: Observation, params: Params) -> Assessment:
    """Say whether data or concept drifted, and which of it asks for a retraining by `drift.request_on`.

    When several ask, concept drift speaks before data drift, and both before age.
    """
    rule = params.drift
    data = observation.data.share > rule.data.max_share
    concept = observation.concept.sigmas is not None and observation.concept.sigmas > rule.concept.sigmas
    signals: dict[str, tuple[bool, Source, str]] = {
        "concept": (concept, "drift", _concept(observation, rule)),
        "data": (data, "drift", _data(observation, rule)),
        "age": (
            observation.champion_age_batches >= rule.max_age_batches,
            "age",
            f"version {observation.champion} was promoted {observation.champion_age_batches} batches ago, "
            f"drift.max_age_batches is {rule.max_age_batches}",
        ),
    }
    nothing = f"nothing asks for a retraining: {_concept(observation, rule)}; {_data(observation, rule)}"
    asking = (signal for name, signal in signals.items() if signal[0] and name in rule.request_on)
    _, source, reason = next(asking, (False, None, nothing))
    return Assessment(source=source, data_drift=data, concept_drift=concept, reason=reason)


def _concept(observation: Observation, rule: Drift) -> str:
    concept = observation.concept
    if concept.sigmas is None:
        return f"concept drift on batch {observation.batch} not judged: {concept.abstained}"
    return (
        f"loss {concept.score.loss:.4f} on batch {observation.batch} ({concept.score.coverage:.0%} labelled) is "
        f"{concept.sigmas:+.1f} sd from the {concept.reference_mean:.4f} of fresh models "
        f"(alarm above {rule.concept.sigmas:g})"
    )


def _data(observation: Observation, rule: Drift) -> str:
    names = [column.column for column in observation.data.columns if column.drifted]
    listed = f" ({', '.join(names)})" if names else ""
    return (
        f"{len(names)} of {len(observation.data.columns)} features of batch {observation.batch} drifted{listed} "
        f"(alarm above a share of {rule.data.max_share:g})"
    )
