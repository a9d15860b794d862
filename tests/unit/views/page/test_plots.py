"""Where things lie in the plots."""

import re
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
def seen(tmp_path_factory: pytest.TempPathFactory) -> Health:
    return read(year.written(tmp_path_factory.mktemp("year")), shipped(), 50)


def test_a_time_lies_within_its_batch(seen: Health) -> None:
    across = Across(seen.batches)
    assert across.at(seen.batches[3].start) == 3.0
    assert across.at(seen.batches[3].start + year.WEEK / 4) == 3.25
    assert across.at(seen.batches[-1].end + year.WEEK) == 50.0
    assert (across.left(1), across.middle(0)) == ("2.000%", "1.000%")


def test_a_higher_value_lies_higher_and_what_is_outside_lies_at_the_edge() -> None:
    scale = down([0.4, 0.5], 100)
    assert scale.at(0.5) < scale.at(0.4)
    assert (scale.at(9.0), scale.at(-9.0)) == (0.0, 100.0)


@pytest.mark.parametrize(("low", "high"), [(0.4, 0.6), (0.0, 3000.0), (0.4512, 0.4519), (-3.0, 4.0)])
def test_there_are_some_round_ticks(low: float, high: float) -> None:
    scale = down([low, high], 100)
    assert 3 <= len(scale.ticks()) <= 7
    assert all(scale.low <= one <= scale.high for one in scale.ticks())


def test_equal_values_have_a_scale_too() -> None:
    assert down([0.0, 0.0], 100).at(0.0) == 50.0


def test_drift_and_abstention_have_shapes_of_their_own(seen: Health) -> None:
    drifted = sum(bool(one.measured and one.measured.concept_drift) for one in seen.batches)
    abstained = sum(bool(one.measured and one.measured.abstained) for one in seen.batches)
    assert drifted > 0
    assert abstained == 2
    for drawn in (plots.quality(seen), lanes(seen)):
        assert drawn.count('class="concept"') == drifted
        assert drawn.count('class="abstained"') == abstained


def test_a_loss_without_bounds_is_drawn_without_them(seen: Health) -> None:
    bare = tuple(
        replace(one, measured=replace(one.measured, lower=None, upper=None) if one.measured else None)
        for one in seen.batches
    )
    drawn = plots.quality(replace(seen, batches=bare))
    assert 'class="bounds"' not in drawn
    assert drawn.count('class="loss"') == plots.quality(seen).count('class="loss"')


def test_every_promotion_and_rollback_has_its_mark(seen: Health) -> None:
    drawn = lanes(seen)
    assert drawn.count('class="promoted"') == 6
    assert drawn.count('class="back"') == 1
    assert drawn.count('class="retraining"') == 8


def test_the_version_of_a_takeover_at_the_end_stands_left_of_its_line(seen: Health) -> None:
    last = replace(seen.reigns[-1], begin=seen.batches[-1].end, version="99")
    drawn = str(plots.quality(replace(seen, reigns=[*seen.reigns, last])))
    assert ("end", "99") in re.findall(r'text-anchor="(start|end)" dx="-3" y="11">v(\d+)<', drawn)
    assert ("start", seen.reigns[0].version) in re.findall(
        r'text-anchor="(start|end)" dx="3" y="11">v(\d+)<', drawn
    )


def test_nothing_measured_is_said_and_not_drawn(tmp_path: Path) -> None:
    early = read(year.written(tmp_path, 3), shipped(), 53)
    assert plots.quality(early) == '<p class="empty">No batch was measured yet.</p>'
    assert heat_map.features(early.batches) == []


def test_the_map_begins_with_what_drifts_most_and_marks_what_drifted(seen: Health) -> None:
    first, *_, last = heat_map.features(seen.batches)
    counts = {
        name: sum(
            cell.drifted
            for one in seen.batches
            if one.measured
            for cell in one.measured.cells
            if cell.feature == name
        )
        for name in (first, last)
    }
    assert counts[first] > counts[last]
    drifted = sum(cell.drifted for one in seen.batches if one.measured for cell in one.measured.cells)
    assert heat_map.heat(seen).count('class="drifted"') == drifted


def test_a_long_name_is_cut_and_told_in_full(seen: Health) -> None:
    def named(one):
        return replace(one, cells=(replace(one.cells[0], feature="x" * 60),))

    batches = tuple(replace(one, measured=named(one.measured)) for one in seen.batches[-3:])
    drawn = heat_map.heat(replace(seen, batches=batches))
    assert f">{'x' * 18}…<" in drawn
    assert f"<title>{'x' * 60}, " in drawn


def test_no_plot_holds_a_number_that_is_none(seen: Health) -> None:
    for draw in (plots.quality, plots.coverage, lanes, heat_map.heat, plots.dates):
        assert not re.search("nan|None|inf", re.sub("<title>.*?</title>|>[^<]*<", "", draw(seen)))
