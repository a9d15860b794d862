"""Which client may predict or report outcomes: bearer tokens, stored as digests, compared in constant time."""

import hashlib
import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from trimtab import settings
from trimtab.errors import Unfit

FILE_VARIABLE, VARIABLE = "TRIMTAB_SERVICE_TOKENS_FILE", "TRIMTAB_SERVICE_TOKENS"
Role = Literal["predict", "feedback"]
_FORM = '{"NAME": {"roles": ["predict", "feedback"], "sha256": "HEX DIGEST OF THE TOKEN"}}'


class Client(BaseModel):
    """What a client may do, and the SHA-256 of its token."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    sha256: Annotated[str, StringConstraints(pattern="^[0-9A-Fa-f]{64}$", to_lower=True)]


_CLIENTS = TypeAdapter(
    Annotated[dict[str, Client], Field(min_length=1)],
    config=ConfigDict(hide_input_in_errors=True),  # somebody may have written a token instead of its digest
)


class Tokens:
    """The clients of a service. Without any, no token is needed, and every request has the client name `""`."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self.clients = clients

    def client(self, header: str | None, role: Role | None) -> str:
        """Return the name of the client that an `Authorization` header belongs to.

        Args:
            header: Its value; None if the request has none.
            role: The role that the client must have; None if every client may do this.

        Raises:
            Unauthorized: The token is missing or unknown.
            Forbidden: The client has another role.
        """
        if not self.clients:
            return ""
        scheme, _, token = (header or "").partition(" ")
        digest = hashlib.sha256(token.strip().encode()).hexdigest()
        # All of them are compared, so that the time reveals nothing.
        names = [name for name, client in self.clients.items() if hmac.compare_digest(client.sha256, digest)]
        if not names or scheme.lower() != "bearer":
            raise Unauthorized(
                "Expected `Authorization: Bearer TOKEN` with a token of this service",
                www_authenticate=WWWAuthenticate("bearer"),
            )
        if role is not None and role not in self.clients[names[-1]].roles:
            raise Forbidden(f"Expected a token with the role {role}")
        return names[-1]


def from_environment() -> Tokens:
    """Read the clients from the file that TRIMTAB_SERVICE_TOKENS_FILE names, or from TRIMTAB_SERVICE_TOKENS itself.

    Raises:
        Unfit: The variable is set, and its content cannot be used.
    """
    current = settings.read()
    path, secret = current.service_tokens_file, current.service_tokens
    if not path and secret is None:
        return Tokens({})
    try:
        return Tokens(
            _CLIENTS.validate_json(path.read_bytes() if path else secret.get_secret_value() if secret else "")
        )
    except (OSError, ValueError) as error:
        raise Unfit(
            f"{FILE_VARIABLE if path else VARIABLE} cannot be used: {type(error).__name__}: {error}",
            f"Expected {_FORM}, or leave it unset",
        ) from error


def require_tokens_beyond_loopback(host: str, tokens: Tokens) -> None:
    """Check that a service without tokens listens on the loopback interface only.

    Raises:
        Unfit: It would listen on another interface.
    """
    try:
        is_loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not tokens.clients and not is_loopback:
        raise Unfit(
            f"The service would listen on {host} and let everybody in",
            f"Set {FILE_VARIABLE} to a file of {_FORM}, or bind to 127.0.0.1",
        )
