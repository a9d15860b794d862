"""What a reader sees while the demo plays."""

import io
from dataclasses import replace
from datetime import UTC, datetime

from examples.flights import progress
from examples.flights.records import Decision, Demo, Line, Observed, Served, TaskTime, Week
from trimtab.contracts import BatchScore, Comparison

SCORE = BatchScore(batch="2013-W09", rows=6300, labelled=6200, loss=0.49721, auc=0.70423)
WEEK = Week(
    batch="2013-W09",
    served=Served(rows=6300, version="1", score=SCORE),
    observed=Observed(data_share=0.53, data_drift=True, sigmas=3.42, concept_drift=True),
    seconds={"traffic": 3.0, "ingest": 6.6},
    done=True,
)
COMPARISON = Comparison(
    metric="log_loss",
    rows=12000,
    blocks=14,
    champion_loss=0.5123,
    challenger_loss=0.5,
    gain=0.0123,
    lower=0.004,
    upper=0.02,
    error=0.05,
)
RETRAINED = Decision(
    source="drift",
    request="loss",
    action="RETRAIN",
    reason="drift: loss",
    version="2",
    outcome="PROMOTE",
    comparison=COMPARISON,
)


def test_a_week_is_one_line_with_flags():
    assert progress.week_line(WEEK) == (
        "2013-W09    6300  0.704 0.4972   +3.4s! 0.53!     v1   10  no requests"
    )


def test_values_are_below_their_header():
    assert progress.HEADER.index("decision") == progress.week_line(WEEK).index("no requests")


def test_a_missing_measurement_is_a_dash():
    line = progress.week_line(replace(WEEK, observed=None, note="column temp is missing"))

    assert line.split() == "2013-W09 6300 0.704 0.4972 - - v1 10 column temp is missing".split()


def test_a_retraining_names_verdict_version_and_gain():
    assert (
        progress.decision(replace(WEEK, decisions=(RETRAINED,)))
        == "RETRAIN (drift) -> PROMOTE v2, gain +0.0123"
    )


def test_a_wait_gives_its_reason_in_short():
    wait = Decision(
        source="drift", request="loss", action="WAIT", reason="cooldown: 1 batch since the last retraining"
    )

    assert (
        progress.decision(replace(WEEK, decisions=(wait,)))
        == "WAIT (cooldown: 1 batch since the last retraining)"
    )


def test_a_failed_run_says_so():
    failed = replace(RETRAINED, version=None, outcome="FAILED", comparison=None, sentence="the disk is full")

    assert progress.decision(replace(WEEK, decisions=(failed,))) == "RETRAIN (drift) -> FAILED"


def test_a_file_gets_plain_lines_without_current_steps():
    out = io.StringIO()
    lines = progress.Progress(out)

    lines.doing("waiting")
    lines.say("done")

    assert out.getvalue() == "done\n"


def test_the_scorecard_shows_means_over_the_weeks():
    scores = (SCORE, replace(SCORE, loss=0.49921, auc=None))
    table = progress.scorecard_table(
        [Line(policy="never retrained", retrainings=0, promotions=0, scores=scores)]
    )

    assert table.splitlines()[1].split() == ["never", "retrained", "0.7042", "0.4982", "0", "0"]


def test_timing_lists_phases_that_happened_and_tasks_by_cost():
    quick = TaskTime(
        dag="sweep", task="waiting", runs=3, mean_seconds=1.0, max_seconds=1.5, total_seconds=3.0
    )
    slow = TaskTime(
        dag="retrain_model", task="train", runs=2, mean_seconds=9.0, max_seconds=10.0, total_seconds=18.0
    )
    demo = Demo(
        params_sha256="aa",
        weeks=9,
        started_at=datetime(2026, 11, 2, tzinfo=UTC),
        made=(),
        played=(WEEK,),
        tasks=(quick, slow),
    )

    first_words = [line.split()[0] for line in progress.timing(demo).splitlines()]

    assert first_words == ["phase", "traffic", "ingest", "task", "retrain_model.train", "sweep.waiting"]


def test_a_week_without_enough_labels_abstains():
    silent = Observed(
        data_share=0.1, data_drift=False, sigmas=None, concept_drift=False, abstained="0 labelled rows"
    )
    assert progress.week_line(replace(WEEK, observed=silent)).split()[4] == "abstains"


def test_late_labels_get_their_own_line():
    calm = Observed(data_share=0.1, data_drift=False, sigmas=1.24, concept_drift=False)
    line = "2013-W09  its labels came late, measured again at revision 2: concept drift"
    assert progress.late_line("2013-W09", calm) == f"{line} +1.2s"
    silent = replace(calm, sigmas=None, abstained="3 labelled rows")
    assert progress.late_line("2013-W09", silent) == f"{line} abstains: 3 labelled rows"
