"""A wrong `params.yaml` is one line that names file, key, expected and got."""

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
            "max_age_batches: 8",
            "max_age: 8",
            "trigger.max_age: should be a key that trimtab knows, got 8",
        ),
        (
            "windows: [all, 8]",
            "windows: []",
            "train.windows: List should have at least 1 item after validation, not 0, got []",
        ),
        ("windows: [all, 8]", "windows: [all, 0]", "train.windows.1"),
        ("regret: 0.03", "regret: 0", "trigger.regret: Input should be greater than 0, got 0"),
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
