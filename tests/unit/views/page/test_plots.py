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


def test_drift_and_abstention_have_their_own_shapes(health: Health) -> None:
    measurements = [batch.measurement for batch in health.batches if batch.measurement]
    drifted = sum(each.assessment.concept_drift for each in measurements)
    abstained = sum(bool(each.concept.abstained) for each in measurements)
    assert drifted > 0
    assert abstained == 2
    for drawn in (plots.quality(health), lanes(health)):
        assert drawn.count('class="concept"') == drifted
        assert drawn.count('class="abstained"') == abstained


def test_a_loss_without_bounds_is_drawn_without_them(health: Health) -> None:
    def without_bounds(measurement):
        concept = replace(measurement.concept, lower=None, upper=None)
        return replace(measurement, observation=replace(measurement.observation, concept=concept))

    bare = tuple(
        replace(batch, measurement=without_bounds(batch.measurement)) if batch.measurement else batch
        for batch in health.batches
    )
    drawn = plots.quality(replace(health, batches=bare))
    assert 'class="bounds"' not in drawn
    assert drawn.count('class="loss"') == plots.quality(health).count('class="loss"')


def test_every_promotion_and_rollback_has_its_mark(health: Health) -> None:
    drawn = lanes(health)
    assert drawn.count('class="promoted"') == 6
    assert drawn.count('class="back"') == 1
    assert drawn.count('class="retraining"') == 8


def test_the_version_of_a_takeover_at_the_end_is_left_of_its_line(health: Health) -> None:
    end = health.batches[-1].manifest.end
    last = replace(health.tenures[-1], begin=end, version="99")
    drawn = str(plots.quality(replace(health, tenures=[*health.tenures, last])))
    assert ("end", "99") in re.findall(r'text-anchor="(start|end)" dx="-3" y="11">v(\d+)<', drawn)
    assert ("start", health.tenures[0].version) in re.findall(
        r'text-anchor="(start|end)" dx="3" y="11">v(\d+)<', drawn
    )


def test_a_page_without_measurements_says_so(tmp_path: Path) -> None:
    early = read(year.written(tmp_path, 3), shipped(), 53)
    assert plots.quality(early) == '<p class="empty">No batch was measured yet.</p>'
    assert heat_map.features(early.batches) == []


def test_the_map_begins_with_the_feature_that_drifts_most_and_marks_drift(health: Health) -> None:
    first, *_, last = heat_map.features(health.batches)
    columns = [column for batch in health.batches for column in heat_map.columns_of(batch).values()]
    drifted = Counter(column.column for column in columns if column.drifted)
    assert drifted[first] > drifted[last]
    assert heat_map.heat(health).count('class="drifted"') == drifted.total()


def test_a_long_name_is_cut_and_shown_in_full_in_the_title(health: Health) -> None:
    def named(measurement):
        observation = measurement.observation
        data = replace(observation.data, columns=(replace(observation.data.columns[0], column="x" * 60),))
        return replace(measurement, observation=replace(observation, data=data))

    batches = tuple(replace(each, measurement=named(each.measurement)) for each in health.batches[-3:])
    drawn = heat_map.heat(replace(health, batches=batches))
    assert f">{'x' * 18}…<" in drawn
    assert f"<title>{'x' * 60}, " in drawn


def test_no_plot_holds_a_missing_number(health: Health) -> None:
    for draw in (plots.quality, plots.coverage, lanes, heat_map.heat, plots.dates):
        assert not re.search("nan|None|inf", re.sub("<title>.*?</title>|>[^<]*<", "", draw(health)))
