"""No secret in what people and stores are told, and all the rest of it."""

import inspect
import json
import logging
import os
import string
import subprocess
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab import errors, redaction
from trimtab.redaction import redact

PASSWORD = "hunter2"  # pragma: allowlist secret
URL = f"https://admin:{PASSWORD}@db.internal:5432/store"


def tree(kind: type[errors.TrimtabError]) -> Iterator[type[errors.TrimtabError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def argument(kind: object) -> object:
    """A value of a parameter's type that holds the URL wherever it can hold a text."""
    origin, parts = typing.get_origin(kind) or kind, [argument(part) for part in typing.get_args(kind)]
    if origin is Mapping:
        return {parts[0]: parts[1]}
    if origin is Sequence:
        return parts
    return kind(1) if kind in (int, float) else URL


@pytest.mark.parametrize("kind", list(tree(errors.TrimtabError)))
def test_no_error_holds_the_password_of_a_url_that_it_was_given(kind: type[errors.TrimtabError]) -> None:
    hints = typing.get_type_hints(kind.__init__)
    names = [name for name in inspect.signature(kind).parameters]
    error = kind(**{name: argument(hints[name]) for name in names})
    # Names and ids lead to other things, and the faults of a request go back to the client that sent it.
    given = {"batch", "row_ids", "holder", "store", "faults"}
    texts = [str(value) for name, value in vars(error).items() if name not in given]
    for text in (str(error), repr(error), *texts):
        assert PASSWORD not in text
    assert "db.internal:5432/store" in str(error)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("no answer from http://a:hunter2@h:5000/x, http 3", "no answer from http://h:5000/x, http 3"),
        ("redis://:hunter2@h:1/0 and http://user:@h/x", "redis://h:1/0 and http://h/x"),
        ("https://ghp_0hunter2@github.com/x.git", "https://github.com/x.git"),
        # pragma: allowlist nextline secret
        ("https://hunter2:x-oauth-basic@github.com/x.git", "https://github.com/x.git"),
        ("mongodb://u:hunter2@h1:27017,h2:27017/db?x=1", "mongodb://h1:27017,h2:27017/db?x=1"),
        ("postgresql://u:hun/ter2?#@h/db", "postgresql://h/db"),
        # pragma: allowlist nextline secret
        ("postgresql://u:hun@ter2/hunter2@h/db", "postgresql://h/db"),
        ("fatal: unable to access 'http://u:hunter2@h/o.git/'", "fatal: unable to access 'http://h/o.git/'"),
        ("postgresql+psycopg:///db?user=u&password=hunter2&x=1", "postgresql+psycopg:///db?user=u&password=***&x=1"),
        ("https://a.blob.core.windows.net/c?sv=1&sig=hunter2%3D&se=2", "https://a.blob.core.windows.net/c?sv=1&sig=***&se=2"),
        ("AccountName=a;AccountKey=hunter2/+==;Suffix=b", "AccountName=a;AccountKey=***;Suffix=b"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Dsa%3BPWD%3Dhunter2%3BX%3D1", "mssql+pyodbc:///?odbc_connect=UID%3Dsa%3BPWD%3D***%3BX%3D1"),
        ("host=h password=hunter2 dbname=d", "host=h password=*** dbname=d"),
        ("host=h password='hun ter2' dbname=d", "host=h password='***' dbname=d"),
        # pragma: allowlist nextline secret
        ('{"password": "hun\\"ter2", "n": 1}', '{"password": "***", "n": 1}'),
        ("{'aws_secret_access_key': 'hunter2', 'n': 1}", "{'aws_secret_access_key': '***', 'n': 1}"),
        ("Authorization: Basic aHVudGVyMg== sent", "Authorization: Basic *** sent"),
        ("X-Amz-Credential=hunter2&X-Amz-Signature=hunter2&n=1", "X-Amz-Credential=***&X-Amz-Signature=***&n=1"),
    ],
)  # fmt: skip
def test_a_secret_goes_and_the_rest_stays(text: str, clean: str) -> None:
    assert redact(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "models:/flights@champion and http://h:5000/models/flights@champion",
        "http://[::1]:5000/x@y and git@github.com:a/b.git",
        "wasbs://container@account.blob.core.windows.net/path",
        "Expected a bearer token, got none. Set TRIMTAB_SERVICE_TOKENS_FILE=/run/secrets/tokens.json",
        "Batch '2024-W07': expected values, got nothing but nulls in age; key=abc",
    ],
)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert redact(text) == text


@given(
    scheme=st.sampled_from(
        ["http", "https", "postgresql+psycopg", "mysql+pymysql", "mongodb+srv", "git+ssh"]
    ),
    name=st.text(string.ascii_letters, max_size=8),
    password=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=4),
    after=st.sampled_from(["", ":5000", "/db", "/db?x=1", "?x=1#y"]),
)
def test_any_encoded_password_goes_from_any_url(scheme: str, name: str, password: str, after: str) -> None:
    hidden = redact(f"before {scheme}://{name}:{quote(password, safe='')}@host{after} behind")
    assert hidden == f"before {scheme}://host{after} behind"


@given(
    password=st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="'\"<>`"), min_size=4)
)
def test_any_password_goes_that_should_have_been_encoded(password: str) -> None:
    hidden = redact(f"before http://name:x{password}@host/db behind")
    assert hidden == "before http://host/db behind"


@pytest.mark.parametrize(
    ("name", "value", "said", "clean"),
    [
        ("AWS_SECRET_ACCESS_KEY", "hunter2", "denied for hunter2.", "denied for ***."),
        # pragma: allowlist nextline secret
        ("MLFLOW_TRACKING_URI", "http://u:p%40ss%2Fw0rd@h", "p@ss/w0rd or p%40ss%2Fw0rd", "*** or ***"),
        ("TRIMTAB_LEDGER_URL", "postgresql://u:hun 'ter2@h/d", "for u:hun 'ter2@h/d", "for u:***@h/d"),
        ("AZURE_STORAGE_CONNECTION_STRING", "AccountName=a;AccountKey=ab/cd==", "key ab/cd==", "key ***"),
        ("TRIMTAB_WEBHOOK_URL", "https://hooks.example/T0/x", "to https://hooks.example/T0/x", "to ***"),
        ("ORIGIN", f"https://{'t0ken' * 8}@github.com/x", f"as {'t0ken' * 8}", "as ***"),
        # pragma: allowlist nextline secret
        ("ORIGIN", "postgresql://postgres:postgres@db/x", "postgresql://db: postgres", "postgresql://db: postgres"),
        ("DB_PASSWORD", "postgres", "postgresql://db: postgres", "postgresql://db: ***"),
        ("SHORT_TOKEN", "an", "an answer", "an answer"),
        ("SOME_TOKEN", 'a"b\\c', json.dumps({"x": 'a"b\\c'}), '{"x": "***"}'),
    ],
    ids=range(10),  # pytest puts a test's name into the environment
)  # fmt: skip
def test_secrets_of_the_environment_go_wherever_they_stand(
    name: str, value: str, said: str, clean: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redact(said) == said
    monkeypatch.setenv(name, value)
    assert redact(said) == clean


def test_an_environment_that_is_no_text_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"SOME_TOKEN", b"hunter\xff")
    assert redact("a hunter") == "a hunter"


def test_what_a_process_prints_and_logs_holds_no_secret() -> None:
    code = textwrap.dedent(f"""
        import logging, sys, threading
        from trimtab import redaction
        redaction.install()
        logging.basicConfig(level="INFO", format="%(message)s")
        def fail(what):
            try:
                raise ValueError("{URL} in " + what)
            except ValueError as error:
                raise LookupError(what) from error
        logging.info("message %s %d", "{URL}", 3)
        # pragma: allowlist nextline secret
        logging.info("parts http://%s:%s@host", "me", "{PASSWORD}")
        logging.info("object %s", ValueError("{URL}"))
        logging.info("wrong %d", "{URL}")
        try:
            fail("logged")
        except LookupError:
            logging.exception("caught")
        thread = threading.Thread(target=fail, args=["a thread"])
        thread.start(), thread.join()
        fail("the main thread")
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    print(done.stderr)
    assert PASSWORD not in done.stderr
    shown = "https://db.internal:5432/store"
    for part in (
        f"message {shown} 3\n",
        "parts http://host\n",
        f"object {shown}\n",
        f"Arguments: ('{shown}',)",
    ):
        assert part in done.stderr
    for what in ("logged", "a thread", "the main thread"):
        assert f"ValueError: {shown} in {what}\n" in done.stderr
        assert f"LookupError: {what}\n" in done.stderr


def test_a_formatter_that_counts_the_arguments_gets_them_all() -> None:
    redaction.install()
    make = logging.getLogRecordFactory()
    record = make("access", logging.INFO, "", 1, "%s %s %d", ("GET", "/x?token=hunter2", 200), None)
    assert record.args == ("GET", "/x?token=***", 200)
