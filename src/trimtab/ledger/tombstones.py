"""Tell an erased row by its id, without having kept the id."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from trimtab.ledger.facts import Erasure


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstones:
    """The salt of a model's tombstones, and the salted sha256 of every erased row id.

    Ids are often few enough to be tried one after the other, and a salt does not hinder who has the ledger and a list of
    candidates. It keeps the hashes from being looked up in tables made beforehand, and from being matched with those of
    another system. A secret key would do more; but without it, once lost, erased rows would come back.

    >>> stones = Tombstones(salt="5a17", digests=frozenset())
    >>> Tombstones(salt="5a17", digests=frozenset([stones.digest("row-7")])).among(["row-6", "row-7"])
    [False, True]
    """

    salt: str
    digests: frozenset[str]

    @classmethod
    def of(cls, erasures: Iterable[Erasure]) -> "Tombstones":
        """Collect those of all erasures; the first of a model chooses the salt, and all after it use the same."""
        earlier = list(erasures)
        salt = earlier[0].salt if earlier else secrets.token_hex(16)
        return cls(salt=salt, digests=frozenset(digest for erasure in earlier for digest in erasure.rows))

    def digest(self, row_id: object) -> str:
        """Return the salted sha256 of a row id."""
        return hashlib.sha256(f"{self.salt}:{row_id}".encode(errors="surrogatepass")).hexdigest()

    def among(self, row_ids: Iterable[object]) -> list[bool]:
        """Say for each row id whether it was erased."""
        return [bool(self.digests) and self.digest(row_id) in self.digests for row_id in row_ids]
