"""The pages are what the code says: links, commands, targets, metrics, generated pages, code samples."""

import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from tests import reference
from tests.support.commands import resolves
from tests.support.scored import record
from trimtab import clock, contracts, params
from trimtab.data import ingest, landing
from trimtab.evaluate.record import Pick, Record, model, scores_of, shadow
from trimtab.predictions.protocol import PredictionLog
from trimtab.settings import Ports, Settings

ROOT = Path(__file__).parents[2]
LISTED = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
)
PAGES = [name for name in LISTED.stdout.splitlines() if (ROOT / name).is_file()]
UNWRAPPED = ("docs/explanation/policy.md", "docs/plan-", "tests/integration/review/")
"""Pages whose lines may be longer than 100 columns: written by others, or by a program."""


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def fences(page: str) -> list[str]:
    return re.findall(r"^ *```\w*\n(.*?)^ *```", text(page), re.MULTILINE | re.DOTALL)


def prose(page: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text(page), flags=re.MULTILINE | re.DOTALL)


def code(page: str) -> str:
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page)))
    return "\n".join([*fences(page), *spans])


@cache
def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    slugs: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        slugs.append(f"{slug}-{slugs.count(slug)}" if slug in slugs else slug)
    return set(slugs)


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_and_anchor_resolves(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(str(there.resolve().relative_to(ROOT))), target


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith(UNWRAPPED)])
def test_prose_has_at_most_100_columns(page: str) -> None:
    lines = [re.sub(r"\]\([^)]*\)", "]", line) for line in prose(page).splitlines()]
    assert [line for line in lines if len(line) > 100 and not line.startswith(("|", "    "))] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    paths = re.findall(r"`((?:src|tests|docs|deploy|benchmarks|examples|plugins|dags)/[\w./-]+)`", text(page))
    made = ("deploy/compose/secrets", "deploy/kubernetes/secrets")
    assert [path for path in paths if not (ROOT / path).exists() and not path.startswith(made)] == []


def test_the_index_names_every_page() -> None:
    index = text("docs/README.md") + text("docs/explanation/decisions/README.md")
    named = {target.rpartition("/")[2] for target in re.findall(r"\]\(([^)]+)\)", index)}
    assert {Path(page).name for page in PAGES if page.startswith("docs/") and "plan-" not in page} <= {
        "README.md",
        *named,
    }


def test_every_decision_says_what_violates_it() -> None:
    records = sorted((ROOT / "docs/explanation/decisions").glob("0*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    assert len(records) > 10
    for path in records:
        before, _, rules = path.read_text().partition("\n## A change violates this when it\n\n")
        assert "## Why" in before and "## Decision" in before, path
        assert rules and all(line.startswith(("- ", "  ")) for line in rules.splitlines()), path


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_names_exists(page: str) -> None:
    for words in re.findall(r"(?<!-n )(?<!the )\btrimtab((?: [a-z][a-z-]*)+)", code(page)):
        assert resolves(words), words


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z0-9-]+)", code(page))) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_that_a_page_names_exists(page: str) -> None:
    variables = {group.variable(field) for group in (Settings, Ports) for field in group.model_fields}
    variables |= {"TRIMTAB_TOKEN", "TRIMTAB_TEST_MONGODB_URL"}  # read by deploy/checks and by tests
    assert set(re.findall(r"\bTRIMTAB_[A-Z_]*[A-Z]\b", text(page))) <= variables


@pytest.mark.parametrize("page", reference.PAGES)
def test_a_generated_page_is_current(page: str) -> None:
    assert text(page) == reference.PAGES[page](), "Run make reference."


def test_every_parameter_is_explained() -> None:
    rows = re.findall(
        r"^\| `\S+` \| .+ \| .+ \| (.*) \|$", text("docs/reference/parameters.md"), re.MULTILINE
    )
    assert len(rows) > 50
    assert all(meaning.endswith(".") for meaning in rows)


def test_the_metrics_page_names_every_metric() -> None:
    sources = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    metrics = set(re.findall(r'"(trimtab_[a-z_]+)"', "".join(sources)))
    page = re.findall(
        r"^\| `(trimtab_[a-z_]+?)(?:_total)?` \|", text("docs/reference/metrics.md"), re.MULTILINE
    )
    assert len(page) > 50
    assert sorted(page) == sorted(metrics)


def test_the_readme_is_short() -> None:
    assert len(text("README.md").splitlines()) < 150


def test_the_examples_of_contributing_run() -> None:
    check, detector = (block for block in fences("CONTRIBUTING.md") if "def " in block)
    names = {"dataclass": dataclass, "pd": pd, "params": params, "Check": contracts.Check, "fmean": fmean}
    names |= {"Record": Record, "Pick": Pick, "scores_of": scores_of}
    exec(check, names)
    made = names["_ranking"](  # type: ignore[operator]
        record(2, champion=0.6, all=0.5), model("champion"), shadow("all"), SimpleNamespace(max_auc_loss=-0.1)
    )
    assert (made.passed, made.value) == (False, 0.0)
    exec(detector, names)
    frames = (pd.DataFrame({"age": [1.0, age], "income": [1.0, 2.0]}) for age in (2.0, None))
    assert names["measure"](*frames) == names["Missingness"](feature="age", growth=0.5)  # type: ignore[operator]


def test_contributing_names_the_methods_of_a_store() -> None:
    methods = {name for name in vars(PredictionLog) if not name.startswith("_")}
    sentence = (
        text("CONTRIBUTING.md").partition("that implements the protocol")[2].partition(" is an example")[0]
    )
    assert methods <= set(re.findall(r"`(\w+)`", sentence))


def test_the_batches_of_your_own_data_keep_the_contract_of_that_page(tmp_path: Path) -> None:
    page = "docs/how-to/use-your-own-data.md"
    (changes,), (example,) = (
        re.findall(rf"```{kind}\n(.*?)```", text(page), re.DOTALL) for kind in ("yaml", "python")
    )
    content = yaml.safe_load((ROOT / params.FILE).read_text())
    for section, keys in yaml.safe_load(changes).items():
        content[section] |= keys
    count = 300
    table = pd.DataFrame(
        {
            "order_id": range(count),
            "ordered_at": pd.date_range("2026-03-16", "2026-04-05", count).floor("s"),  # summer time begins
            "amount": range(count),
            "country": ["AT", "CH", "DE"] * (count // 3),
            "late": [0, 1, None] * (count // 3),
        }
    )
    table.to_csv(tmp_path / "orders.csv", index=False)
    (tmp_path / "var/landing").mkdir(parents=True)
    (tmp_path / "example.py").write_text(example)
    subprocess.run([sys.executable, "example.py"], cwd=tmp_path, check=True)
    batches = sorted(path.stem for path in (tmp_path / "var/landing").glob("*.json"))
    assert batches == ["2026-W12", "2026-W13", "2026-W14"]
    data = params.parse(yaml.safe_dump(content)).data
    checked = [
        ingest.check(landing.read(tmp_path / "var/landing", batch), data, now=clock.system_clock())
        for batch in batches
    ]
    assert [len(batch.bad) for batch in checked] == [0, 0, 0]
    assert sum(len(batch.valid) for batch in checked) == count
