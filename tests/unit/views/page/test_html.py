"""The Model health page as HTML, of a year in a real ledger."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.contracts import Order, Quarantined
from trimtab.views.health import read
from trimtab.views.page.html import failure, page
from trimtab.views.page.view import Health

_VOID = {"meta", "link", "input", "br"}
_HOSTILE = "<script>alert('x')</script>\"&"


class Reader(HTMLParser):
    """Notes tags, attributes and texts; refuses tags that close what is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Health:
    return read(year.written(tmp_path_factory.mktemp("year")), shipped(), 53)


def drawn(seen: Health, mlflow: str | None = "http://127.0.0.1:5000") -> Reader:
    return Reader(page(seen, nonce="n0nce", mlflow=mlflow))


def test_the_page_says_at_once_how_the_model_does(seen: Health) -> None:
    text = drawn(seen).text
    assert "Version 13 answers since 2025-11-24. Newest batch 2025-W52: no concept drift" in text
    for word in ("paused", "1 version blocked", "1 request waiting", "1 entry in quarantine"):
        assert word in text


@pytest.mark.parametrize(
    ("weeks", "said"),
    [
        (0, "No batch has come in yet."),
        (3, "3 of the 8 batches of train.start_batches came in"),
        (41, "Newest batch 2025-W41: abstained from concept drift, 0 labelled rows"),
    ],
)
def test_the_page_of_an_early_loop_says_what_comes_next(tmp_path: Path, weeks: int, said: str) -> None:
    assert said in drawn(read(year.written(tmp_path, weeks), shipped(), 53)).text


def test_nothing_is_fetched_from_anywhere(seen: Health) -> None:
    read_in = drawn(seen)
    fetched = [
        attributes.get("src") or attributes.get("href")
        for tag, attributes in read_in.tags
        if tag in ("script", "img", "link", "iframe", "use", "object")
    ]
    assert [one for one in fetched if one] == ["data:,"]
    assert not re.search(r"url\(|@import", page(seen, nonce="n", mlflow=None))


def test_style_and_script_run_by_the_nonce_alone(seen: Health) -> None:
    read_in = drawn(seen)
    assert [one["nonce"] for one in read_in.named("style") + read_in.named("script")] == ["n0nce", "n0nce"]
    inline = [name for _, attributes in read_in.tags for name in attributes if re.match("on|style$", name)]
    assert inline == []


def test_what_people_and_data_say_is_never_markup(seen: Health) -> None:
    hostile = replace(
        seen,
        model=_HOSTILE,
        answers=tuple(replace(one, asked=_HOSTILE, reason=_HOSTILE) for one in seen.answers),
        waiting=tuple(replace(one, asked=_HOSTILE, why=_HOSTILE) for one in seen.waiting),
        reigns=tuple(replace(one, actor=_HOSTILE, reason=_HOSTILE) for one in seen.reigns),
        champion=replace(seen.champion, reason=_HOSTILE),
        batches=tuple(replace(one, batch=_HOSTILE) for one in seen.batches),
        quarantine={
            _HOSTILE: Quarantined(
                name=_HOSTILE, batch=_HOSTILE, kind="rows", reason=_HOSTILE, rows=1, path=_HOSTILE
            )
        },
        standing=replace(
            seen.standing,
            paused=replace(
                seen.standing.paused,
                order=Order(
                    model="m", verb="pause", version=None, actor=_HOSTILE, reason=_HOSTILE, event_time=None
                ),
            ),
        ),
    )
    text = page(hostile, nonce="n0nce", mlflow=None)
    assert len(Reader(text).named("script")) == 1
    assert "<script>alert" not in text


def test_runs_link_to_mlflow_where_a_browser_can_go_there(seen: Health) -> None:
    with_server = [one["href"] for one in drawn(seen).named("a")]
    assert f"http://127.0.0.1:5000/#/runs/{year.digest('run 13')[:32]}" in with_server
    assert not any("runs" in one["href"] for one in drawn(seen, mlflow=None).named("a"))


def test_every_verdict_has_its_evidence_one_click_behind(seen: Health) -> None:
    links = {one["href"] for one in drawn(seen).named("a")}
    assert {f"evidence/{one.judged.evidence}" for one in seen.answers if one.judged} <= links


def test_every_plot_has_words_for_who_cannot_see_it(seen: Health) -> None:
    plots = [one for one in drawn(seen).named("svg") if one.get("role") == "img"]
    assert len(plots) == 6
    assert all(one["aria-label"] for one in plots)
    assert "46 batches measured" not in plots[0]["aria-label"]
    assert plots[0]["aria-label"].startswith("log_loss by batch with 95 % bounds; 44 batches measured")


def test_each_field_of_a_form_has_a_label_and_each_wide_table_takes_the_keyboard(seen: Health) -> None:
    text = page(seen, nonce="n", mlflow=None)
    fields = re.findall(r"<label>[^<]+<(input|select) name", text)
    assert fields == ["input", "select", "input"]
    assert all(one["tabindex"] == "0" for one in Reader(text).named("div") if one.get("class") == "scroll")


def test_the_forms_trigger_the_two_dags_and_offer_only_versions_that_may_come_back(seen: Health) -> None:
    read_in = drawn(seen)
    assert [one["data-dag"] for one in read_in.named("form")] == ["retrain_model", "rollback_model"]
    assert [one["value"] for one in read_in.named("option")] == ["", "9", "7", "4", "2"]


def test_a_failure_says_what_and_what_now() -> None:
    read_in = Reader(failure("Away", f"The ledger is away {_HOSTILE}", "Start it.", nonce="n"))
    assert _HOSTILE in read_in.text
    assert read_in.named("script") == []
    assert "Start it." in read_in.text
