"""The page at the end of the demo."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from examples.flights.page import page
from examples.flights.records import Decision, Demo, First, Line, Observed, Served, Week
from trimtab.contracts import BatchScore, Comparison

FIRST = Decision(source="ui", request="first model", action="RETRAIN", reason="ui: first model", version="1")
RETRAINED = Decision(
    source="drift",
    request="loss 0.56 is 3.4 sd above fresh models",
    action="RETRAIN",
    reason="drift: loss 0.56 is 3.4 sd above fresh models",
    version="2",
    outcome="PROMOTE",
    comparison=Comparison(
        metric="log_loss",
        rows=12000,
        blocks=14,
        champion_loss=0.5123,
        challenger_loss=0.5,
        gain=0.0123,
        lower=0.004,
        upper=0.02,
        error=0.05,
    ),
)
WAITED = Decision(source="age", request="version 2 is old", action="WAIT", reason="cooldown: 1 batch <2")


def week(batch: str, *decisions: Decision) -> Week:
    score = BatchScore(batch=batch, rows=10, labelled=9, loss=0.5, auc=0.7)
    seen = Observed(data_share=0.6, data_drift=True, sigmas=3.4, concept_drift=bool(decisions))
    served = Served(rows=1000, version="1", score=score)
    return Week(batch=batch, served=served, observed=seen, decisions=decisions, done=True)


@pytest.fixture
def demo() -> Demo:
    weeks = (week("2013-W09"), week("2013-W10", RETRAINED), week("2013-W11", WAITED))
    scores = tuple(week.served.score for week in weeks)
    return Demo(
        params_sha256="aa",
        weeks=11,
        started_at=datetime(2026, 11, 2, tzinfo=UTC),
        made=(),
        first=First(decision=FIRST, seconds={}),
        played=weeks,
        scorecard=(
            Line(policy="managed by trimtab", retrainings=1, promotions=1, scores=scores),
            Line(policy="never retrained", retrainings=0, promotions=0, scores=scores),
        ),
        addresses={"Airflow": "http://127.0.0.1:8080"},
    )


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_it_loads_nothing_from_elsewhere(demo):
    html = page(demo)

    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", html)
    assert not re.search(r"@import|<script|url\((?!#)", html)


def test_it_summarises_the_play(demo):
    assert (
        "3 weeks played through Airflow, MLflow, DVC and the model service: 3,000 flights predicted over HTTP, "
        "concept drift in 2 weeks, 1 retraining, 1 promotion over a champion."
    ) in text_of(page(demo))


def test_a_decision_has_its_reason_version_and_interval(demo):
    assert (
        "2013-W10 RETRAIN (drift) Loss 0.56 is 3.4 sd above fresh models. v2 "
        "PROMOTE: gain +0.0123 per row, +0.0040 to +0.0200"
    ) in text_of(page(demo)).replace("  ", " ")


def test_reasons_are_escaped(demo):
    assert "Version 2 is old. WAIT: cooldown: 1 batch &lt;2." in page(demo)


def test_the_chart_names_the_promoted_version_and_all_kinds_of_events(demo):
    chart = page(demo).split("<svg")[1]

    assert all(
        f">{word}</text>" in chart
        for word in ("v2", "data drift", "concept drift", "retraining", "promotion")
    )


def test_the_chart_takes_its_colours_from_the_page(demo):
    html = page(demo)

    assert "stroke: var(--managed)" in html
    assert "#0a0b" not in html


def test_the_page_is_the_same_each_time(demo):
    assert page(demo) == page(demo)


def test_a_demo_without_a_played_week_has_a_page(demo):
    assert "no requests" in page(replace(demo, played=(), scorecard=(), first=None))
