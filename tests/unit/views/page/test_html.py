"""The Model health page as HTML, of a year in a real ledger."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.contracts import Quarantined
from trimtab.views.health import read
from trimtab.views.page.html import failure, page
from trimtab.views.page.view import Answered, Health

_VOID = {"meta", "link", "input", "br"}
_HOSTILE = "<script>alert('x')</script>\"&"


class Reader(HTMLParser):
    """Collects tags, attributes and texts; refuses an end tag that does not match."""

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
def health(tmp_path_factory: pytest.TempPathFactory) -> Health:
    return read(year.written(tmp_path_factory.mktemp("year")), shipped(), 53)


def shown(health: Health, mlflow: str | None = "http://127.0.0.1:5000") -> Reader:
    return Reader(page(health, nonce="n0nce", mlflow=mlflow))


def test_the_page_says_at_once_how_the_model_performs(health: Health) -> None:
    text = shown(health).text
    assert (
        "Version 13 has been in Production since 2025-11-24. Newest batch 2025-W52: no concept drift" in text
    )
    for word in ("paused", "1 version blocked", "1 request waiting", "1 entry in quarantine"):
        assert word in text


@pytest.mark.parametrize(
    ("weeks", "sentence"),
    [
        (0, "No batch has come in yet."),
        (3, "3 of the 8 batches of train.start_batches came in"),
        (41, "Newest batch 2025-W41: abstained from concept drift, 0 labelled rows"),
    ],
)
def test_the_page_of_an_early_loop_says_what_comes_next(tmp_path: Path, weeks: int, sentence: str) -> None:
    assert sentence in shown(read(year.written(tmp_path, weeks), shipped(), 53)).text


def test_nothing_is_fetched_from_anywhere(health: Health) -> None:
    fetched = [
        attributes.get("src") or attributes.get("href")
        for tag, attributes in shown(health).tags
        if tag in ("script", "img", "link", "iframe", "use", "object")
    ]
    assert [address for address in fetched if address] == ["data:,"]
    assert not re.search(r"url\(|@import", page(health, nonce="n", mlflow=None))


def test_style_and_script_run_only_with_the_nonce(health: Health) -> None:
    tags = shown(health)
    assert [tag["nonce"] for tag in tags.named("style") + tags.named("script")] == ["n0nce", "n0nce"]
    inline = [name for _, attributes in tags.tags for name in attributes if re.match("on|style$", name)]
    assert inline == []


def test_texts_of_people_and_data_are_never_markup(health: Health) -> None:
    model = health.params.model.model_copy(update={"name": _HOSTILE})
    order = replace(health.orders.paused, actor=_HOSTILE, reason=_HOSTILE)
    hostile = replace(
        health,
        params=health.params.model_copy(update={"model": model}),
        answers=tuple(_hostile(answer) for answer in health.answers),
        waiting=tuple(
            replace(each, request=replace(each.request, reason=_HOSTILE), why=_HOSTILE)
            for each in health.waiting
        ),
        tenures=tuple(
            replace(each, transition=replace(each.transition, actor=_HOSTILE, reason=_HOSTILE))
            for each in health.tenures
        ),
        champion=replace(health.champion, judgement=replace(health.champion.judgement, reason=_HOSTILE)),
        batches=tuple(
            replace(each, manifest=replace(each.manifest, batch=_HOSTILE)) for each in health.batches
        ),
        quarantine={
            _HOSTILE: Quarantined(
                name=_HOSTILE, batch=_HOSTILE, kind="rows", reason=_HOSTILE, rows=1, path=_HOSTILE
            )
        },
        orders=replace(health.orders, paused=order),
    )
    text = page(hostile, nonce="n0nce", mlflow=None)
    assert len(Reader(text).named("script")) == 1
    assert "<script>alert" not in text


def _hostile(answer: Answered) -> Answered:
    return replace(
        answer,
        request=replace(answer.request, reason=_HOSTILE),
        decision=replace(answer.decision, reason=_HOSTILE),
        outcome=answer.outcome and replace(answer.outcome, reason=_HOSTILE),
    )


def test_runs_link_to_mlflow_if_a_browser_can_reach_it(health: Health) -> None:
    with_server = [tag["href"] for tag in shown(health).named("a")]
    assert f"http://127.0.0.1:5000/#/runs/{year.digest('run 13')[:32]}" in with_server
    assert not any("runs" in tag["href"] for tag in shown(health, mlflow=None).named("a"))


def test_every_verdict_links_to_its_evidence(health: Health) -> None:
    links = {tag["href"] for tag in shown(health).named("a")}
    assert {f"evidence/{each.outcome.evidence}" for each in health.answers if each.outcome} <= links


def test_every_plot_has_a_description_for_readers_who_cannot_see_it(health: Health) -> None:
    plots = [tag for tag in shown(health).named("svg") if tag.get("role") == "img"]
    assert len(plots) == 6
    assert all(tag["aria-label"] for tag in plots)
    assert "46 batches measured" not in plots[0]["aria-label"]
    assert plots[0]["aria-label"].startswith("log_loss by batch with 95 % bounds; 44 batches measured")


def test_each_field_of_a_form_has_a_label_and_each_wide_table_takes_the_keyboard(health: Health) -> None:
    text = page(health, nonce="n", mlflow=None)
    fields = re.findall(r"<label>[^<]+<(input|select) name", text)
    assert fields == ["input", "select", "input"]
    assert all(tag["tabindex"] == "0" for tag in Reader(text).named("div") if tag.get("class") == "scroll")


def test_the_forms_trigger_the_two_dags_and_offer_only_versions_that_may_come_back(health: Health) -> None:
    tags = shown(health)
    assert [tag["data-dag"] for tag in tags.named("form")] == ["retrain_model", "rollback_model"]
    assert [tag["value"] for tag in tags.named("option")] == ["", "9", "7", "4", "2"]


def test_a_failure_says_what_happened_and_what_to_do() -> None:
    tags = Reader(failure("Away", f"The ledger is away {_HOSTILE}", "Start it.", nonce="n"))
    assert _HOSTILE in tags.text
    assert tags.named("script") == []
    assert "Start it." in tags.text


def test_a_failed_run_and_a_run_in_progress_are_shown_as_such(tmp_path: Path) -> None:
    written = year.played(tmp_path, 20)
    failed = written.start_run(19, written.ask(19, "ui", "a new feature"))
    written.end_run(19, failed, "failed", "No module named 'lightgbm'")
    written.start_run(19, written.ask(19, "alert", "the loss is high"))
    health = read(written.ledger, shipped(), 53)
    text = page(health, nonce="n", mlflow=None)
    assert '<b class="action FAILED">FAILED</b>: No module named &#39;lightgbm&#39;' in text
    assert text.count("in progress</span>") == 2  # among the newest decisions, and among all
    assert f"waits: run {failed.key} has failed: No module named &#39;lightgbm&#39;" in text
