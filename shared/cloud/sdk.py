"""The one way to call an RPC SDK: configured for us, and every failure made a CloudFailure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions

from shared.cloud.errors import CloudFailure, OutcomeUnknown, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.cloud.credentials import Credentials

CONNECT_TIMEOUT_SECONDS: Final = 3.0
READ_TIMEOUT_SECONDS: Final = 10.0
_RETRY_AFTER_LIMIT_SECONDS: Final = 60.0


def config(credentials: Credentials, endpoint: str, region: str) -> Config:
    """The SDK's configuration; an empty `endpoint` leaves the choice to the SDK's own table."""
    parts = urlsplit(endpoint)
    return Config(
        access_key_id=credentials.access_key_id,
        access_key_secret=credentials.access_key_secret.get_secret_value(),
        security_token=credentials.security_token.get_secret_value() or None,
        region_id=region,
        endpoint=parts.netloc or None,
        protocol=parts.scheme.upper() or "HTTPS",
        connect_timeout=int(CONNECT_TIMEOUT_SECONDS * 1000),
        read_timeout=int(READ_TIMEOUT_SECONDS * 1000),
    )


def call(operation: Callable[[Any, RuntimeOptions], Any], request: Any) -> Any:
    """The body of the answer to one call, made once.

    The SDK's own retries stay off: a retry is a new look at the world, and that is the caller's.
    An answer with HTTP 200 and Success=false is an error, which the SDK does not see.

    Raises:
        CloudFailure: Refused, NotNow or OutcomeUnknown, whatever went wrong.
    """
    try:
        body = operation(request, RuntimeOptions()).body
    except AlibabaCloudException as error:
        raise _answered(error) from None  # the SDK's exception holds the whole request
    except Exception as error:  # noqa: BLE001 -- the SDK's own families, and broken answers' errors
        raise _unanswered(error) from None
    if not isinstance(getattr(body, "request_id", None), str):  # every answer of the cloud has one
        raise OutcomeUnknown("EmptyAnswer", "the answer is none of the cloud's")
    _check_envelope(body)
    return body


def rows(operation: Any, request: Any, name: str, most_pages: int = 2000) -> Iterator[Any]:
    """The rows of a listing, page by page; one that does not end is no answer."""
    seen: set[str] = set()
    for _ in range(most_pages):
        body = call(operation, request)
        yield from getattr(body, name) or []
        token = body.next_token
        if not token:
            return
        if not isinstance(token, str):
            raise OutcomeUnknown("UnreadableToken", "the listing's next page cannot be asked for")
        if token in seen:
            raise OutcomeUnknown("PageRepeated", "the listing gives the same page again")
        seen.add(token)
        request.next_token = token
    raise OutcomeUnknown("TooManyPages", "the listing does not end")


def _answered(error: AlibabaCloudException) -> CloudFailure:
    code = str(error.code or "UnknownError")
    hint = getattr(error, "retry_after", None)
    retry_after = min(float(hint), _RETRY_AFTER_LIMIT_SECONDS) if hint else None
    data = error.data if isinstance(error.data, dict) else {}
    return failure(
        code,
        str(data.get("Message") or data.get("message") or ""),
        status=error.status_code,
        request_id=error.request_id,
        retry_after=retry_after,
    )


def _unanswered(error: Exception) -> CloudFailure:
    inner = getattr(error, "inner_exception", None)
    return OutcomeUnknown(type(inner or error).__name__, "no answer that could be read")


def _check_envelope(body: Any) -> None:
    success = getattr(body, "success", None)
    code = str(getattr(body, "code", None) or "200")
    if success is not True and (success is not None or code not in ("200", "OK", "success")):
        raise failure(
            code if code != "200" else "UnknownError",
            str(getattr(body, "message", "") or ""),
            status=200,
            request_id=getattr(body, "request_id", None),
        )
