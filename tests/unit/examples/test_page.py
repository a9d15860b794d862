"""The page at the end of the demo."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from examples.flights.page import page
from examples.flights.records import (
    NEVER,
    SCHEDULE,
    Decision,
    Demo,
    First,
    Line,
    Measured,
    Quality,
    Served,
    Week,
)
from trimtab.replay.scorecard import Row

FIRST = Decision(source="first", action="DEPLOY", reason="first model: it loses less", version="1")
DEPLOYED = Decision(source="regret", action="DEPLOY", reason="the fresh models lose 0.0053 less", version="2")
BACK = Decision(source="watch", action="ROLLBACK", reason="the new champion loses more", version="1")
WAITS = Decision(source="age", action="WAIT", reason="1 block <7")
ROW = Row(
    policy="trimtab",
    loss=0.49821,
    auc=0.7042,
    gain_kept=0.9,
    deployments=1,
    per_batch=0.1,
    wrong=0,
    rollbacks=0,
    reaction=None,
    difference=-0.00123,
    error=0.00056,
)


def week(batch: str, *decisions: Decision) -> Week:
    measured = Measured(loss=0.5, auc=0.7, fresh=0.49, regret=0.034)
    return Week(
        batch=batch,
        served=Served(rows=1000, version="1"),
        measured=measured,
        decisions=decisions,
        done=True,
    )


@pytest.fixture
def demo() -> Demo:
    weeks = (week("2013-W09"), week("2013-W10", DEPLOYED), week("2013-W11", WAITS), week("2013-W12", BACK))
    quality = tuple(Quality(batch=week.batch, loss=0.5, auc=0.7) for week in weeks)
    return Demo(
        params_sha256="aa",
        weeks=12,
        started_at=datetime(2026, 11, 2, tzinfo=UTC),
        made=(),
        first=First(decision=FIRST, seconds={}),
        played=weeks,
        scorecard=tuple(
            Line(row=replace(ROW, policy=policy), weeks=quality) for policy in ("trimtab", SCHEDULE, NEVER)
        ),
        fits=24,
        addresses={"Airflow": "http://127.0.0.1:8080"},
    )


def shown(demo: Demo) -> str:
    return page(demo, 0.03)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_it_loads_nothing_from_elsewhere(demo: Demo) -> None:
    html = shown(demo)

    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", html)
    assert not re.search(r"@import|<script|url\((?!#)", html)


def test_it_summarises_the_play(demo: Demo) -> None:
    assert (
        "4 weeks played through Airflow, MLflow, DVC and the model service: 4,000 flights predicted over HTTP, "
        "24 models fitted, 1 deployment after the first one, 1 rollback."
    ) in text_of(shown(demo))


def test_a_decision_has_its_version_and_its_reason(demo: Demo) -> None:
    text = text_of(shown(demo))
    assert "2013-W10 DEPLOY (regret) v2 the fresh models lose 0.0053 less" in text
    assert "Version 1, first model: it loses less" in text


def test_reasons_are_escaped(demo: Demo) -> None:
    assert "1 block &lt;7" in shown(demo)


def test_the_scorecard_has_the_difference_to_the_schedule_with_its_error(demo: Demo) -> None:
    text = text_of(shown(demo))
    assert "trimtab 0.4982 0.7042 1 -0.0012 ± 0.0006" in text
    assert "a schedule with as many deployments 0.4982 0.7042 1 –" in text


def test_a_policy_that_had_all_labels_in_time_is_named_as_such(demo: Demo) -> None:
    assert "late" not in text_of(shown(demo))
    assert "trimtab got those of 2 weeks late" in text_of(shown(replace(demo, withhold=2)))


def test_the_chart_names_deployments_and_rollbacks_and_the_limit(demo: Demo) -> None:
    chart = shown(demo).split("<svg")[1]

    assert all(f">{word}</text>" in chart for word in ("v2", "v1", "trigger.regret", "AUC", "log loss"))


def test_the_chart_takes_its_colours_from_the_page(demo: Demo) -> None:
    html = shown(demo)

    assert all(f"stroke: var({name})" in html for name in ("--managed", "--never", "--schedule"))
    assert "#0a0b" not in html


def test_the_page_is_the_same_each_time(demo: Demo) -> None:
    assert shown(demo) == shown(demo)


def test_a_demo_without_a_played_week_has_a_page(demo: Demo) -> None:
    assert "no requests" in shown(replace(demo, played=(), scorecard=(), first=None))
