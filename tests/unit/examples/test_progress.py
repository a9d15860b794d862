"""What a reader sees while the demo plays."""

import io
from dataclasses import replace
from datetime import UTC, datetime

from examples.flights import progress
from examples.flights.records import SCHEDULE, Decision, Demo, Line, Measured, Served, TaskTime, Week
from trimtab.replay.scorecard import Row

WEEK = Week(
    batch="2013-W09",
    served=Served(rows=6300, version="1"),
    measured=Measured(loss=0.49721, auc=0.70423, fresh=0.49011, regret=0.0342),
    seconds={"traffic": 3.0, "ingest": 6.6},
    done=True,
)
DEPLOYED = Decision(source="regret", action="DEPLOY", reason="the fresh models lose less", version="4")
WAITS = Decision(source="age", action="WAIT", reason="3 blocks of evidence")
ROW = Row(
    policy="trimtab",
    loss=0.49821,
    auc=0.7042,
    gain_kept=0.9,
    deployments=3,
    per_batch=0.1,
    wrong=0,
    rollbacks=0,
    reaction=None,
    difference=-0.00123,
    error=0.00045,
)
DEMO = Demo(
    params_sha256="aa",
    weeks=9,
    started_at=datetime(2026, 11, 2, tzinfo=UTC),
    made=(),
    played=(WEEK,),
    scorecard=(Line(row=ROW, weeks=()), Line(row=replace(ROW, policy=SCHEDULE), weeks=())),
    fits=24,
)


def test_a_week_is_one_line() -> None:
    assert progress.week_line(WEEK) == (
        "2013-W09    6300  0.704  0.4972  0.4901   +3.4%     v1   10  no request"
    )


def test_values_are_below_their_header() -> None:
    assert progress.HEADER.index("decision") == progress.week_line(WEEK).index("no request")


def test_a_week_without_measurement_has_dashes() -> None:
    line = progress.week_line(replace(WEEK, measured=None, note="column temp is missing"))
    assert line.split() == "2013-W09 6300 – – – – v1 10 column temp is missing".split()


def test_a_champion_without_a_score_has_a_dash() -> None:
    failed = Measured(loss=None, auc=None, fresh=0.5, regret=0.0)
    assert progress.week_line(replace(WEEK, measured=failed)).split()[2:6] == ["–", "–", "0.5000", "+0.0%"]


def test_a_deployment_has_its_version_source_and_sentence() -> None:
    line = progress.decision(replace(WEEK, decisions=(WAITS, DEPLOYED)))
    assert line == "DEPLOY v4 (regret): the fresh models lose less"


def test_without_a_deployment_the_newest_answer_is_shown() -> None:
    skipped = Decision(source="drift", action="SKIP", reason="no regret")
    assert progress.decision(replace(WEEK, decisions=(WAITS, skipped))) == "SKIP (drift): no regret"


def test_late_labels_get_a_line_below_the_same_header() -> None:
    line = progress.late_line(WEEK)
    assert line.split()[:3] == ["2013-W09", "labels", "0.704"]
    assert progress.HEADER.index("decision") == line.index("no request")


def test_a_file_gets_plain_lines_without_current_steps() -> None:
    out = io.StringIO()
    lines = progress.Progress(out)

    lines.doing("waiting")
    lines.say("done")

    assert out.getvalue() == "done\n"


def test_the_scorecard_has_the_difference_to_the_schedule_with_its_error_and_the_number_of_fits() -> None:
    head, ours, schedule, _, fits = progress.scorecard_table(DEMO).splitlines()
    assert ours.split() == ["trimtab", "0.4982", "0.7042", "3", "-0.0012", "±", "0.0004"]
    assert schedule.split()[-4:] == ["0.4982", "0.7042", "3", "–"]
    assert len(head) == len(ours) == len(schedule)
    assert fits == "The loop fitted 24 models."


def test_timing_lists_phases_that_happened_and_tasks_by_cost() -> None:
    quick = TaskTime(
        dag="sweep", task="waiting", runs=3, mean_seconds=1.0, max_seconds=1.5, total_seconds=3.0
    )
    slow = TaskTime(
        dag="monitor_model", task="measure", runs=2, mean_seconds=9.0, max_seconds=10.0, total_seconds=18.0
    )

    lines = progress.timing(replace(DEMO, tasks=(quick, slow))).splitlines()

    assert [line.split()[0] for line in lines] == [
        *("phase", "traffic", "ingest"),
        *("task", "monitor_model.measure", "sweep.waiting"),
    ]
