"""Takes passwords, keys and tokens out of whatever people or stores will read.

Every message of `trimtab.errors` passes `redact`. After `install`, so does every log record of the process with its
traceback, whichever library made it. Only a URL that is stored needs a call of its own: `without_credentials`.
"""

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus, unquote

_MASK = "***"
_SHORTEST = 4
"""A shorter password would be found in half of all words; in a URL it is taken out all the same."""
_LONG_NAME = 20
"""A user name this long is a token: GitHub's have 40 characters, GitLab's 26."""
_PASSWORD = r"(?P<name>[^\s/?#:@\[]*):(?!\d+[/?#,])"
"""The name and the colon before a password; a number before a path is a port."""
_URL = re.compile(
    # After wasbs:// and abfss:// stands the name of a container.
    r"(?<!wasb)(?<!wasbs)(?<!abfs)(?<!abfss)://"
    # Passwords should be percent-encoded, and often are not: all up to the last @ is taken for one.
    rf"(?:{_PASSWORD}(?P<password>(?:(?!://)[^\s'\"<>`])*)|(?P<token>[^\s/?#'\"<>`]*))@"
)
_SQL_URL = re.compile(rf"://{_PASSWORD}(?P<password>[^@]*)(?P<token>)@")
"""As SQLAlchemy reads it: the password may hold blanks and quotes."""
_PAIR = re.compile(
    r"(?P<key>(?:passw(?:or)?d|passphrase|pwd|secret|token|credential|signature"
    r"|(?:access|account|api|private|shared)[_-]?key|(?<![\w-])sig)"
    r"(?:['\"]?\s*[:=]\s*(?=['\"])|=|%3D)|authorization['\"]?\s*[:=]\s*(?:['\"]?\w+\s+)?)"
    r"(?P<quote>['\"]?)(?P<value>(?<=')[^']+|(?<=\")(?:\\.|[^\"\\])+|(?:(?!%26|%3B)[^\s&;,'\"])+)",
    re.IGNORECASE,
)
"""In a query, a connection string, a header, JSON, or Python's way to print a dict."""
_VARIABLE = re.compile(
    r".*(PASSW(OR)?D|PASSPHRASE|SECRET|TOKEN|KEY|CONNECTION_STRING|WEBHOOK_URL)|.*_(PASS|PWD|SAS|PAT|AUTH)"
)
"""Environment variables whose whole value is a secret."""
_ANY = "surrogateescape"
"""What an environment variable may hold that is no text."""
_OTHERS: set[str] = set()


def redact(text: str) -> str:
    """Return a text without the secrets in it; the rest of it stays as it was.

    >>> redact("No answer from postgresql://trimtab:hunter2@db:5432/ledger?sslmode=require&password=hunter2")
    'No answer from postgresql://db:5432/ledger?sslmode=require&password=***'
    """
    masked = _pattern(frozenset(secrets(os.environ)).union(_OTHERS)).sub(_MASK, text)
    return _PAIR.sub(rf"\g<key>\g<quote>{_MASK}", without_credentials(masked))


def without_credentials(url: str) -> str:
    """Return a URL without the name, password or token before its host.

    >>> without_credentials("https://token@git.example.org/models.git")
    'https://git.example.org/models.git'
    """
    return _URL.sub("://", url)


def secrets(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield the secrets in environment variables (values, parts of URLs and connection strings), each in all its forms."""
    for name, value in settings.items():
        yield from _secrets_of(name, value)


@lru_cache(maxsize=1024)
def _secrets_of(variable: str, value: str) -> frozenset[str]:
    values = {pair["value"] for pair in _PAIR.finditer(unquote(value))}
    if _VARIABLE.fullmatch(variable):
        values.add(value)
    for url in (*_URL.finditer(value), *_SQL_URL.finditer(value)):
        name = url["name"] or url["token"] or ""
        # A password that is also the name is known to everybody.
        values |= {
            part for part in (url["password"], name) if part and (part != name or len(name) >= _LONG_NAME)
        }
    return frozenset(form for secret in values for form in _forms(secret) if len(form) >= _SHORTEST)


def remember(settings: Mapping[str, str]) -> None:
    """Redact the secrets of these settings too, although the environment of this process does not hold them."""
    _OTHERS.update(secrets(settings))


def install() -> None:
    """Redact every log record of this process, and the traceback of an error that nobody catches."""
    logging.setLogRecordFactory(_Record)
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _report
        threading.excepthook = lambda failure: _report(*failure[:3])


class _Record(logging.LogRecord):
    """Redacted when it is made, before any handler sees it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.args, tuple):  # one by one, for some formatters count them
            self.args = tuple(redact(value) if isinstance(value, str) else value for value in self.args)
        with suppress(Exception):  # a message that does not fit its arguments is the handler's to report
            trace = traceback.format_exception(*self.exc_info) if self.exc_info else ()
            text = "\n".join((self.getMessage(), *trace))
            if (clean := redact(text)) != text:
                self.msg, self.args, self.exc_info = clean, (), None


def _report(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if kind is not SystemExit:  # by which a thread may end itself
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


@lru_cache(maxsize=8)
def _pattern(values: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(values, key=len, reverse=True)
    # One of letters only may be part of another word, such as `postgres` of `postgresql`.
    words = (rf"\b{value}\b" if value.isalpha() else re.escape(value) for value in longest_first)
    return re.compile("|".join(words) or r"(?!)")


def _forms(secret: str) -> set[str]:
    """The ways in which a secret is written: as it is, percent-encoded, in JSON, and as Python prints it."""
    plain = unquote(secret)
    return {
        secret,
        plain,
        quote(plain, "", errors=_ANY),
        quote_plus(plain, errors=_ANY),
        json.dumps(plain)[1:-1],
        repr(plain)[1:-1],
    }
