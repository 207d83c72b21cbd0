"""Bearer tokens of callers (RFC 6750).

They are looked up by a keyed hash: how long that takes tells nothing of a token that is near.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import blake2b

from attrs import evolve, field, frozen

_BEARER = b"bearer "


def is_bearer(header: bytes) -> bool:
    """Whether an ``Authorization`` header holds a token."""
    return header[: len(_BEARER)].lower() == _BEARER


@frozen(repr=False)
class Tokens:
    """Some tokens, each of which has a name. Equal ones stem from another by `renewed`."""

    _names: Mapping[bytes, str] = field(factory=dict)
    _key: bytes = field(factory=lambda: secrets.token_bytes(32))

    def renewed(self, tokens: Mapping[str, str]) -> Tokens:
        """These in place of those before (each by its name, all of them different)."""
        names = {self._digest(token.encode()): name for name, token in tokens.items()}
        return evolve(self, names=names)

    def name_in(self, header: bytes) -> str:
        """The name of the token in an ``Authorization`` header, ``""`` where it is none of them."""
        return self._names.get(self._digest(header[len(_BEARER) :].strip()), "")

    def _digest(self, token: bytes) -> bytes:
        return blake2b(token, key=self._key, digest_size=16).digest()
