"""The Model health page as HTML, of a year in a real ledger."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.contracts import Quarantined
from trimtab.data.recipes import recipe_of
from trimtab.evaluate.alarms import Alarm, Alarms
from trimtab.ledger import Answer, RecipeEntry, Request
from trimtab.views.health import read
from trimtab.views.page.html import evidence, failure, page
from trimtab.views.page.view import Decided, Health

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

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name in tags]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> year.Year:
    return year.played(tmp_path_factory.mktemp("year"))


@pytest.fixture(scope="module")
def health(written: year.Year) -> Health:
    return read(written.ledger, shipped(), 53)


def shown(health: Health, mlflow: str | None = "http://127.0.0.1:5000") -> Reader:
    return Reader(page(health, nonce="n0nce", mlflow=mlflow))


def test_the_page_says_at_once_how_the_model_performs(health: Health) -> None:
    text, quality = shown(health).text, health.qualities[-1]
    assert (
        f"Version {health.tenures[-1].version} has been in Production since 2025-11-10. Newest batch 2025-W52: log loss "
        f"{quality.score.loss:.4f} against {quality.fresh.loss:.4f} of a fresh model. Regret "
        f"{quality.regret.share:+.1%}".replace("%", " %") + ", the limit is 3 %." in text
    )
    for words in (
        "paused",
        "1 version blocked",
        "1 question for a person",
        "1 request waiting",
        "1 entry in quarantine",
    ):
        assert words in text


def test_the_page_shows_what_the_alarms_compare_and_which_fire(health: Health) -> None:
    assert "hard batch: loss of a fresh model 0." in shown(health).text
    assert (
        "earlier batches); stale model: what the champion loses more than a fresh model: "
        in shown(health).text
    )
    *before, last = health.qualities
    loud = Alarms(hard=Alarm(of="loss of a fresh model", value=0.7, limit=0.6, earlier=26))
    page = shown(replace(health, qualities=(*before, replace(last, alarms=loud))))
    assert [chip for chip in page.named("a") if chip.get("href") == "#alarms"] == [
        {"class": "chip warn", "href": "#alarms"}
    ]
    assert "hard batch: loss of a fresh model 0.70000 (limit 0.60000, from 26 earlier batches)" in page.text
    assert "stale model: no score to compare on this batch." in page.text


@pytest.mark.parametrize(
    ("weeks", "sentence"),
    [
        (0, "No batch has come in yet."),
        (3, "3 of the 8 batches of train.start_batches came in"),
        (8, "The version was deployed after it."),
        (9, "(not enough history yet, 2 of 8 batches)"),
        (41, "The newest batch, 2025-W41, is not measured yet."),
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
        decisions=tuple(map(_hostile, health.decisions)),
        race=replace(
            health.race,
            candidates=tuple(replace(each, name=_HOSTILE, error=_HOSTILE) for each in health.race.candidates),
            recipe=RecipeEntry(
                number=2,
                recipe=recipe_of(health.params),
                commit=_HOSTILE,
                changes=(_HOSTILE,),
                event_time=year.end(1),
            ),
            state=(_HOSTILE,),
        ),
        qualities=tuple(
            replace(
                each,
                measurement=replace(
                    each.measurement, batch=_HOSTILE, leader=_HOSTILE, failed={_HOSTILE: _HOSTILE}
                ),
            )
            for each in health.qualities
        ),
        questions=tuple(
            replace(each, question=replace(each.question, text=_HOSTILE)) for each in health.questions
        ),
        waiting=tuple(
            replace(each, request=replace(each.request, reason=_HOSTILE), why=_HOSTILE)
            for each in health.waiting
        ),
        tenures=tuple(
            replace(each, transition=replace(each.transition, actor=_HOSTILE, reason=_HOSTILE))
            for each in health.tenures
        ),
        champion=replace(health.champion, version=replace(health.champion.version, candidate=_HOSTILE)),
        batches=tuple(
            replace(each, manifest=replace(each.manifest, batch=_HOSTILE), unmeasured=_HOSTILE)
            for each in health.batches
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


def _hostile(decided: Decided) -> Decided:
    return replace(
        decided,
        request=replace(decided.request, reason=_HOSTILE, source="ui"),
        decision=replace(decided.decision, reason=_HOSTILE, holder=_HOSTILE),
        end=decided.end and replace(decided.end, reason=_HOSTILE),
    )


def test_runs_link_to_mlflow_if_a_browser_can_reach_it(health: Health) -> None:
    with_server = [tag["href"] for tag in shown(health).named("a")]
    assert f"http://127.0.0.1:5000/#/runs/{health.champion.version.training.run_id}" in with_server
    assert not any("#/runs" in tag["href"] for tag in shown(health, mlflow=None).named("a"))


def test_every_answer_links_to_its_evidence(health: Health) -> None:
    links = {tag["href"] for tag in shown(health).named("a")}
    answers = [each.decision for each in health.decisions if isinstance(each.decision, Answer)]
    assert len(answers) >= 10
    assert {f"evidence?request={quote(answer.request)}" for answer in answers} <= links
    many = Reader(page(health, nonce="n", mlflow=None, models=["flight-delay", "late"]))
    assert f"evidence?request={quote(answers[0].request)}&model=flight-delay" in [
        tag["href"] for tag in many.named("a")
    ]


def test_the_evidence_of_each_answer_is_a_page_without_a_script(written: year.Year) -> None:
    for answer in written.ledger.all(Answer):
        request = replace(written.ledger.require(Request, answer.request), reason=_HOSTILE)
        tags = Reader(evidence(request, answer, nonce="n"))
        assert tags.named("script") == []
        assert answer.reason in tags.text
        assert f'"leader": "{answer.evidence.leader}"' in tags.text
        assert all(check.sentence in tags.text for check in answer.evidence.checks)


def test_every_plot_has_a_description_for_readers_who_cannot_see_it(health: Health) -> None:
    plots = [tag for tag in shown(health).named("svg") if tag.get("role") == "img"]
    assert len(plots) == 7
    assert all(tag["aria-label"] for tag in plots)
    assert plots[0]["aria-label"].endswith("; 45 of 52 batches measured")
    assert plots[1]["aria-label"].startswith("Regret by batch; at its limit or above on ")


def test_each_field_of_a_form_has_a_label_and_each_wide_table_takes_the_keyboard(health: Health) -> None:
    text = page(health, nonce="n", mlflow=None)
    labels = re.findall(r"<label.*?</label>", text, re.DOTALL)
    fields = [tag["name"] for tag in Reader(text).named("input", "select")]
    assert fields == ["reason", "window_batches", "force", "dry_run", "version", "reason"]
    assert [re.findall('name="(.*?)"', label) for label in labels] == [[name] for name in fields]
    assert all(tag["tabindex"] == "0" for tag in Reader(text).named("div") if tag.get("class") == "scroll")


def test_the_forms_trigger_the_two_dags_and_offer_only_versions_that_may_come_back(health: Health) -> None:
    tags = shown(health)
    assert [tag["data-dag"] for tag in tags.named("form")] == ["retrain_model", "rollback_model"]
    assert [tag["value"] for tag in tags.named("option")] == ["", *health.former]


def test_a_failure_says_what_happened_and_what_to_do() -> None:
    tags = Reader(failure("Away", f"The ledger is away {_HOSTILE}", "Start it.", nonce="n"))
    assert _HOSTILE in tags.text
    assert tags.named("script") == []
    assert "Start it." in tags.text


def test_a_failed_run_a_run_in_progress_and_a_question_are_shown_as_such(tmp_path: Path) -> None:
    written = year.played(tmp_path, 10)
    failed = written.start_run(9, written.ask(9, "ui", "a new feature"))
    written.end_run(9, failed, "failed", "No module named 'lightgbm'")
    written.start_run(9, written.ask(9, "alert", "the loss is high"))
    asking = written.start_run(9, written.ask(9, "age", "8 batches old"))
    written.question(9, asking, "Deploy the newest model?")
    page_of = shown(read(written.ledger, shipped(), 53))
    text, links = page_of.text, [tag["href"] for tag in page_of.named("a")]
    assert re.search(r"FAILED\s+a new feature → No module named 'lightgbm'\s+The request waits again", text)
    assert text.count("in progress") == 1
    assert re.search(r"ASK\s+8 batches old\s+A person is asked", text)
    assert "Deploy the newest model?" in text
    assert "../dags/retrain_model/runs/run-9" in links
    assert f"waits: run {failed.key} has failed: No module named 'lightgbm'" in text
