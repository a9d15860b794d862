"""Who may predict and who may tell outcomes: bearer tokens, kept as digests, compared in constant time."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from trimtab import settings
from trimtab.errors import Unfit

FILE_VARIABLE, VARIABLE = "TRIMTAB_SERVICE_TOKENS_FILE", "TRIMTAB_SERVICE_TOKENS"
ROLES = ("predict", "feedback")
_FORM = '{"NAME": {"roles": ["predict", "feedback"], "sha256": "HEX DIGEST OF THE TOKEN"}}'
_DIGEST_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Client:
    """A client by name; without tokens everybody is the same one."""

    name: str
    roles: frozenset[str]
    digest: str


class Tokens:
    """The clients of a service; no clients lets everybody in."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = tuple(clients.values())

    @property
    def wanted(self) -> bool:
        """Whether a token is asked for."""
        return bool(self._clients)

    def client(self, header: str | None, role: str | None) -> str:
        """Return the name of the client that an `Authorization` header stands for.

        Args:
            header: As it came, None when there was none.
            role: What it must be allowed to do; None for what any client may.

        Raises:
            Unauthorized: No token, or an unknown one.
            Forbidden: Its client has another role.
        """
        if not self._clients:
            return ""
        kind, _, token = (header or "").partition(" ")
        digest = hashlib.sha256(token.strip().encode()).hexdigest()
        found = None
        for one in self._clients:  # all of them, so that the time tells nothing
            if hmac.compare_digest(one.digest, digest):
                found = one
        if found is None or kind.lower() != "bearer":
            raise Unauthorized(
                "Expected `Authorization: Bearer TOKEN` with a token of this service",
                www_authenticate=WWWAuthenticate("bearer"),
            )
        if role is not None and role not in found.roles:
            raise Forbidden(f"Expected a token with the role {role}")
        return found.name


def from_environment() -> Tokens:
    """Read the clients from the file that TRIMTAB_SERVICE_TOKENS_FILE names, or from TRIMTAB_SERVICE_TOKENS itself.

    Raises:
        Unfit: They are set and cannot be used.
    """
    path, secret = settings.read().service_tokens_file, settings.read().service_tokens
    text = secret.get_secret_value() if secret is not None else None
    where = FILE_VARIABLE if path else VARIABLE
    try:
        if path:
            text = path.read_text(encoding="utf-8")
        content = json.loads(text) if text is not None else {}
        clients = {name: _client(name, one) for name, one in content.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unfit(
            f"{where} cannot be used: {type(error).__name__}: {error}", f"Expected {_FORM}"
        ) from error
    if text is not None and not clients:
        raise Unfit(f"{where} names no client", f"Expected {_FORM}, or leave it unset")
    return Tokens(clients)


def refuse_open_door(host: str, tokens: Tokens) -> None:
    """Let a service without tokens listen on loopback only.

    Raises:
        Unfit: It would listen elsewhere.
    """
    if not tokens.wanted and not is_loopback(host):
        raise Unfit(
            f"The service would listen on {host} and let everybody in",
            f"Set {FILE_VARIABLE} to a file of {_FORM}, or bind to 127.0.0.1",
        )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address; so is a socket in the file system."""
    if host == "localhost" or host.startswith(("/", "unix:")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _client(name: str, content: Mapping[str, Any]) -> Client:
    roles, digest = content["roles"], content["sha256"]
    if not isinstance(roles, list) or not roles or not set(roles) <= set(ROLES):
        raise ValueError(f"{name}: roles should be of {', '.join(ROLES)}, got {roles!r}")
    if not isinstance(digest, str) or len(digest) != _DIGEST_LENGTH or int(digest, 16) < 0:
        raise ValueError(f"{name}: sha256 should be {_DIGEST_LENGTH} hexadecimal digits")
    return Client(name=name, roles=frozenset(roles), digest=digest.lower())
