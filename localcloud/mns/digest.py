"""MD5 as MNS writes it: of bodies, and for ids."""

from __future__ import annotations

import hashlib


def md5(raw: bytes) -> str:
    """The digest in hexadecimal, upper case. Pure."""
    return hashlib.md5(raw).hexdigest().upper()  # noqa: S324 -- the protocol's own
