"""Positions and marks in the plots."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.views.health import read
from trimtab.views.page import heat_map, plots
from trimtab.views.page.scale import Across, down
from trimtab.views.page.timeline import lanes
from trimtab.views.page.view import Health


@pytest.fixture(scope="module")
def health(tmp_path_factory: pytest.TempPathFactory) -> Health:
    return read(year.written(tmp_path_factory.mktemp("year")), shipped(), 50)


def test_a_time_is_within_its_batch(health: Health) -> None:
    across = Across(health.batches)
    assert across.at(health.batches[3].manifest.start) == 3.0
    assert across.at(health.batches[3].manifest.start + year.WEEK / 4) == 3.25
    assert across.at(health.batches[-1].manifest.end + year.WEEK) == 50.0
    assert (across.percent(1), across.percent(0.5)) == ("2.000%", "1.000%")


def test_a_higher_value_is_higher_and_a_value_outside_is_at_the_edge() -> None:
    scale = down([0.4, 0.5], 100)
    assert scale.at(0.5) < scale.at(0.4)
    assert (scale.at(9.0), scale.at(-9.0)) == (0.0, 100.0)


@pytest.mark.parametrize(("low", "high"), [(0.4, 0.6), (0.0, 3000.0), (0.4512, 0.4519), (-3.0, 4.0)])
def test_there_are_some_round_ticks(low: float, high: float) -> None:
    scale = down([low, high], 100)
    assert 3 <= len(scale.ticks()) <= 7
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks())


def test_equal_values_have_a_scale() -> None:
    assert down([0.0, 0.0], 100).at(0.0) == 50.0


def test_each_loss_is_drawn_with_its_bounds_and_that_of_a_fresh_model(health: Health) -> None:
    qualities = [batch.quality for batch in health.batches if batch.quality]
    drawn = plots.quality(health)
    assert (
        drawn.count('class="loss"')
        == drawn.count('class="bounds"')
        == sum(each.score is not None for each in qualities)
    )
    assert drawn.count('class="fresh"') == sum(each.fresh is not None for each in qualities)
    assert drawn.count('class="unmeasured"') == 2


def test_a_loss_without_bounds_is_drawn_without_them(health: Health) -> None:
    def of_one_block(score):
        return replace(score, blocks=score.blocks[:1])

    def without_bounds(quality):
        scores = {name: of_one_block(score) for name, score in quality.measurement.scores.items()}
        return replace(quality, measurement=replace(quality.measurement, scores=scores))

    bare = tuple(
        replace(batch, quality=batch.quality and without_bounds(batch.quality)) for batch in health.batches
    )
    drawn = plots.quality(replace(health, batches=bare))
    assert 'class="bounds"' not in drawn
    assert drawn.count('class="loss"') == plots.quality(health).count('class="loss"')


def test_a_champion_without_a_score_leaves_a_gap(health: Health) -> None:
    def failed(quality):
        measurement = quality.measurement
        scores = {run: score for run, score in measurement.scores.items() if run != measurement.champion}
        failed = {measurement.champion: "ValueError"}
        return replace(quality, measurement=replace(measurement, scores=scores, failed=failed))

    *before, last = health.batches
    drawn = plots.quality(replace(health, batches=(*before, replace(last, quality=failed(last.quality)))))
    assert drawn.count('class="loss"') == plots.quality(health).count('class="loss"') - 1
    assert "the champion has no score: ValueError" in drawn


def test_regret_is_a_line_for_each_champion_and_its_limit_is_dashed(health: Health) -> None:
    shown = [batch.quality for batch in health.batches if batch.quality and batch.quality.regret]
    drawn = plots.regret(health)
    assert drawn.count('class="loss"') == len(shown)
    assert drawn.count('class="limit"') == 1
    assert drawn.count('class="trend"') == len(shown) - len(health.tenures)


def test_every_deployment_rollback_and_failed_run_has_its_mark(health: Health) -> None:
    drawn = lanes(health)
    marks = {
        kind: drawn.count(f'class="{kind}"')
        for kind in ("deployed", "back", "skipped", "failed", "data", "hard", "stale")
    }
    assert marks == {"deployed": 7, "back": 1, "skipped": 2, "failed": 1, "data": 1, "hard": 0, "stale": 1}


def test_the_lane_of_the_leader_changes_with_the_lead(health: Health) -> None:
    assert re.findall("<title>([^<]*) leads from (.*?)</title>", lanes(health)) == [
        ("all", year.name(year.FIRST)),
        ("newest 8", year.name(year.DRIFT.stop - 2)),
    ]


def test_the_version_of_a_takeover_at_the_end_is_left_of_its_line(health: Health) -> None:
    end = health.batches[-1].manifest.end
    last = replace(health.tenures[-1], begin=end, version="99")
    drawn = str(plots.quality(replace(health, tenures=[*health.tenures, last])))
    assert ("end", "99") in re.findall(r'text-anchor="(start|end)" dx="-3" y="11">v(\d+)<', drawn)
    assert ("start", health.tenures[0].version) in re.findall(
        r'text-anchor="(start|end)" dx="3" y="11">v(\d+)<', drawn
    )


def test_versions_that_took_over_soon_after_each_other_are_not_written_into_each_other(
    health: Health,
) -> None:
    first, *_ = health.tenures
    tenures = [replace(first, begin=first.begin + week * year.WEEK, version=str(week)) for week in range(3)]
    drawn = plots.quality(replace(health, tenures=tenures))
    assert re.findall(r'y="(\d+)">v(\d)<', drawn) == [("11", "0"), ("23", "1"), ("11", "2")]


def test_a_page_without_measurements_says_so(tmp_path: Path) -> None:
    early = read(year.written(tmp_path, 3), shipped(), 53)
    assert plots.quality(early) == '<p class="empty">No batch was measured yet.</p>'
    assert plots.regret(early) == ""
    assert heat_map.features(early.batches) == []


def test_the_map_begins_with_the_feature_that_drifts_most_and_marks_drift(health: Health) -> None:
    first, *_, last = heat_map.features(health.batches)
    columns = [column for batch in health.batches for column in heat_map.columns_of(batch).values()]
    drifted = Counter(column.column for column in columns if column.drifted)
    assert drifted[first] > drifted[last]
    assert heat_map.heat(health).count('class="drifted"') == drifted.total()


def test_a_long_name_is_cut_and_shown_in_full_in_the_title(health: Health) -> None:
    def named(observation):
        columns = (replace(observation.data.columns[0], column="x" * 60),)
        return replace(observation, data=replace(observation.data, columns=columns))

    batches = tuple(replace(each, observation=named(each.observation)) for each in health.batches[-3:])
    drawn = heat_map.heat(replace(health, batches=batches))
    assert f">{'x' * 18}…<" in drawn
    assert f"<title>{'x' * 60}, " in drawn


def test_no_plot_holds_a_missing_number(health: Health) -> None:
    for draw in (plots.quality, plots.regret, plots.coverage, lanes, heat_map.heat, plots.dates):
        assert not re.search("nan|None|inf", re.sub("<title>.*?</title>|>[^<]*<", "", draw(health)))
