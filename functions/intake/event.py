"""Function Compute's HTTP event, made into a request, and an answer into its struct."""

from __future__ import annotations

import base64
import binascii
import io
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlencode

from werkzeug.wrappers import Request

from shared.contract import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

_BODY_KEPT: Final = MAX_MESSAGE_BYTES + 1
"""One more than may be: enough to see that it is too large."""


class NotHttp(ValueError):
    """The event is not that of an HTTP trigger."""


def request_of(event: bytes) -> tuple[Request, str | None]:
    """The request, its body as raw bytes, and Function Compute's id of it.

    Raises:
        NotHttp: The event has another form, or its body is no base64 though it says so.
    """
    try:
        document = json.loads(event)
        context = document["requestContext"]
        environ = _environ(document, str(context["http"]["method"]))
        request_id = context.get("requestId")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotHttp("the event is not what an HTTP trigger sends") from None
    return Request(environ), request_id if isinstance(request_id, str) else None


def _environ(document: dict[str, Any], method: str) -> dict[str, Any]:
    body = _body(document)
    query = document.get("queryParameters") or {}
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": _path(str(document["rawPath"])),
        "QUERY_STRING": urlencode({str(key): str(value) for key, value in query.items()}),
        "SERVER_NAME": "intake",
        "SERVER_PORT": "443",
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
    }
    for name, value in (document.get("headers") or {}).items():
        key = "HTTP_" + str(name).upper().replace("-", "_")
        if key in ("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_TYPE"):
            continue  # the body is what the event says
        told = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        # One name in two spellings is one header with two values, and so none of ours.
        environ[key] = f"{environ[key]},{told}" if key in environ else told
    return environ


def _body(document: dict[str, Any]) -> bytes:
    text = document.get("body") or ""
    if not document.get("isBase64Encoded"):
        return str(text).encode("utf-8", "surrogatepass")[:_BODY_KEPT]
    whole = 4 * (_BODY_KEPT // 3 + 1)
    try:
        return base64.b64decode(str(text)[:whole], validate=True)[:_BODY_KEPT]
    except (binascii.Error, ValueError):
        raise NotHttp("the body is no base64") from None


def _path(raw: str) -> str:
    """The path as WSGI has it. An encoded slash stays encoded: it separates nothing."""
    parts = [unquote_to_bytes(part) for part in raw.partition("?")[0].split("/")]
    kept = [
        quote_from_bytes(part, safe="") if b"/" in part else part.decode("latin-1")
        for part in parts
    ]
    return "/".join(kept)


def struct(response: Response) -> dict[str, Any]:
    """The answer as Function Compute takes it: always the full struct."""
    return {
        "statusCode": response.status_code,
        "headers": dict(response.headers.items()),
        "isBase64Encoded": False,
        "body": response.get_data(as_text=True),
    }
