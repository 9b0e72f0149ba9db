"""Who reads: bearer tokens, of which the registry holds the hashes."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.registry import Reader

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]{16,512})")


def reader_of(header: str, readers: Mapping[str, Reader]) -> tuple[str, Reader] | None:
    """The name and the scope of who bears the token; None where it is nobody's.

    Every hash is compared, whichever it is, in a time that does not tell how much of it fits.

    Args:
        header: `Authorization` as it came.
        readers: Those of the registry.
    """
    borne = _BEARER.fullmatch(header)
    digest = sha256((borne[1] if borne else "").encode()).hexdigest()
    found = None
    for name, reader in readers.items():
        for known in reader.token_sha256:
            if hmac.compare_digest(known, digest):
                found = (name, reader)
    return found if borne else None
