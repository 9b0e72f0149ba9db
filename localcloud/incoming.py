"""A request as it came in: what its signature saw, and what RAM knows of it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from localcloud import signatures
from localcloud.clock import iso

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from localcloud.call import Caller

SKEW_SECONDS: Final = 900
"""So far a request's date may be off."""


def signed(request: Request) -> signatures.Signed:
    """The request as its signature saw it."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.path
    path, _, query = str(raw).partition("?")
    return signatures.Signed(
        method=request.method,
        path=path,
        query=query,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.get_data(),
    )


def base_context(caller: Caller, now: float) -> dict[str, str]:
    """The condition keys that every call has."""
    return {
        "acs:SourceIp": caller.source_ip,
        "acs:SecureTransport": str(caller.secure_transport).lower(),
        "acs:CurrentTime": iso(now),
        "acs:MFAPresent": "false",
    }


def request_id() -> str:
    """A request id in the cloud's own form."""
    return str(uuid.uuid4()).upper()
