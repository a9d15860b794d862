"""A wrong `params.yaml` is one line that names file, key, expected and got."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.support.commands import trimtab
from trimtab import params
from trimtab.errors import ParamsError

TEXT = (Path(__file__).parents[2] / params.FILE).read_text()


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        (
            "max_age_batches: 12",
            "max_age: 8",
            "trigger.max_age: should be a key that trimtab knows, got 8",
        ),
        (
            "windows: [all, 8]",
            "windows: []",
            "train.windows: List should have at least 1 item after validation, not 0, got []",
        ),
        ("windows: [all, 8]", "windows: [all, 0]", "train.windows.1"),
        ("regret: 0.01", "regret: 0", "trigger.regret: Input should be greater than 0, got 0"),
        ("rate: 0.00135", "rate: 0", "drift.concept.rate: Input should be greater than 0, got 0"),
        ("  seed: 7", "", "model.seed: should be there, got None"),
        ("error: 0.1", "error: 2", "gate.error: Input should be less than 0.5, got 2"),
        (
            "error: 0.1",
            "error: high",
            "gate.error: Input should be a valid number, got 'high'",
        ),
        (
            "metric: log_loss",
            "metric: auc",
            "gate.metric: Input should be 'log_loss', 'brier', 'squared_error' or 'absolute_error', got 'auc'",
        ),
        (
            "nullable: false, min: 1,",
            "nullable: 7, min: 1,",
            "data.features.distance.nullable: Input should be a valid boolean, got 7",
        ),
        (
            "min: 1, max: 6000",
            "min: 9000, max: 6000",
            "data.features.distance: min should be at most max (6000.0)",
        ),
        ("America/New_York", "Mars/Base", "data.timezone: should be a name of the IANA time zone database"),
        (
            "start_batches: 8",
            "start_batches: 2",
            "train.start_batches: Input should be greater than or equal to 3, got 2",
        ),
        (
            "slices: [origin]",
            "slices: [distance]",
            "gate.slices: should name features of kind category (carrier, origin, dest, plane_manufacturer), got 'distance'",
        ),
        ("max_bad_share: 0.02", "max_bad_share: .nan", "data.max_bad_share: "),
        ("name: flight-delay", "name: Flight Delay", "model.name: String should match pattern"),
        ("version: 1", "version: 1\n  x:", "line 7: should be YAML"),
    ],
)
def test_the_line_names_key_expected_and_got(was: str, becomes: str, message: str) -> None:
    assert was in TEXT
    with pytest.raises(ParamsError) as caught:
        params.parse(TEXT.replace(was, becomes, 1))
    line = str(caught.value)
    assert line.startswith(f"params.yaml: {message}")
    assert "\n" not in line


LOG = {"log: null": "log: {every: day, wait_hours: 0, again_share: 0.1, until_days: 9}"}


@pytest.mark.parametrize(
    ("hours", "changes", "never"),
    [
        ("null", {}, ""),
        (12, {}, ""),
        (24, {}, "the guard, race.batches, watch.batches"),
        (24, {"min_blocks: 7": "min_blocks: 4"}, ""),
        (24, {"min_blocks: 7": "min_blocks: 6"}, "watch.batches"),
        (24, {"min_blocks: 7": "min_blocks: 6", "  batches: 4": "  batches: 6"}, ""),
        (13, {"min_blocks: 7": "min_blocks: 8"}, ""),
        (13, {"min_blocks: 7": "min_blocks: 9"}, "watch.batches"),
    ],
)
def test_the_batches_that_are_compared_can_have_the_blocks_that_a_decision_needs(
    hours: object, changes: dict[str, str], never: str
) -> None:
    text = TEXT
    for was, becomes in {**LOG, "block_hours: null": f"block_hours: {hours}", **changes}.items():
        assert was in text
        text = text.replace(was, becomes, 1)
    refused = pytest.raises(
        ParamsError, match=rf"gate.min_blocks: should be .* \(else these never decide: {never}\)"
    )
    with refused if never else nullcontext():
        params.parse(text)


def test_the_largest_number_of_blocks_is_named() -> None:
    text = TEXT.replace("block_hours: null", "block_hours: 24")
    params.parse(text)
    with pytest.raises(ParamsError) as caught:
        params.parse(text.replace(*next(iter(LOG.items()))))
    assert str(caught.value) == (
        "params.yaml: gate.min_blocks: should be at most 4 with data.log.every day and gate.block_hours 24 (else these "
        "never decide: the guard, race.batches, watch.batches), got 7"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ParamsError, match=r"params.yaml: \(file\): should be a readable file, got 'No such file"
    ):
        params.load(tmp_path / "params.yaml")


def test_the_command_prints_one_line_and_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text(TEXT.replace("version: 1", "version: 2", 1))
    monkeypatch.chdir(tmp_path)
    assert trimtab("init") == 1
    assert capsys.readouterr().err == "ParamsError: params.yaml: version: Input should be 1, got 2\n"
