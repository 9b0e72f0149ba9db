"""A function's HTTP trigger, and the destinations of asynchronous invocations."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from werkzeug.wrappers import Response

from localcloud.call import CloudError
from localcloud.clock import iso
from localcloud.fc.deployment import HttpConfig
from localcloud.incoming import request_id

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from localcloud.fc import Fc
    from localcloud.fc.instance import Outcome

_PATH: Final = re.compile(r"/_http/(?P<function>[^/]+)(?P<path>/.*)?", re.DOTALL)
_TEXT: Final = re.compile(r"text/.*|application/(json|xml|x-www-form-urlencoded|[\w.-]+\+json).*")
_HEADERS_LIMIT: Final = 8192
_URL_LIMIT: Final = 4096
_RESERVED: Final = ("connection", "keep-alive", "transfer-encoding", "content-length")
_TARGET: Final = re.compile(
    r"acs:(?P<service>mns|fc):[^:]*:[^:]*:/?(?P<kind>topics|queues|functions)/(?P<name>[^/]+).*"
)


def answer(fc: Fc, request: Request) -> Response:
    """Answer one request by the function that it names."""
    found = _PATH.fullmatch(request.path)
    name = found["function"] if found else ""
    try:
        config = _config(fc, name)
        if request.method not in config.methods:
            return _refused(405, "MethodNotAllowed", f"{request.method} is not allowed")
        size = sum(len(key) + len(value) for key, value in request.headers.items())
        if size > _HEADERS_LIMIT or len(request.full_path) > _URL_LIMIT:
            return _refused(400, "InvalidArgument", "The headers or the URL are too long.")
        path = (found["path"] if found else None) or "/"
        outcome = fc.invoke(name, json.dumps(_event(fc, request, path)).encode())
    except CloudError as error:
        return _refused(error.status, error.code, error.message)
    if outcome.error_type is not None:
        headers = {"X-Fc-Error-Type": outcome.error_type}
        return Response(outcome.body, 502, headers, content_type="application/json")
    return _response(fc, outcome.body)


def _config(fc: Fc, name: str) -> HttpConfig:
    for trigger in fc.props(name).triggers:
        if isinstance(trigger.triggerConfig, HttpConfig):
            return trigger.triggerConfig
    raise CloudError(404, "TriggerNotFound", f"function {name} has no http trigger")


def _event(fc: Fc, request: Request, path: str) -> dict[str, Any]:
    body = request.get_data()
    is_text = _TEXT.fullmatch(request.content_type or "") is not None or not body
    now = fc.cloud.clock.now()
    return {
        "version": "v1",
        "rawPath": _raw_path(request, path),
        "headers": dict(request.headers.items()),
        "queryParameters": {key: ",".join(request.args.getlist(key)) for key in request.args},
        "body": body.decode("utf-8", "replace") if is_text else base64.b64encode(body).decode(),
        "isBase64Encoded": not is_text,
        "requestContext": {
            "accountId": fc.settings.account_uid,
            "domainName": request.host,
            "domainPrefix": request.host.partition(".")[0],
            "requestId": request_id(),
            "time": iso(now),
            "timeEpoch": str(int(now * 1000)),
            "triggerId": "local",
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.remote_addr or "",
                "userAgent": request.headers.get("User-Agent", ""),
            },
        },
    }


def _raw_path(request: Request, path: str) -> str:
    """The path behind the function's name as it stood in the request line, still encoded."""
    raw = str(request.environ.get("REQUEST_URI") or "").partition("?")[0]
    found = _PATH.fullmatch(raw)
    return (found["path"] or "/") if found else quote(path, safe="/:@!$&'()*+,;=~-._")


def _response(fc: Fc, raw: bytes) -> Response:
    try:
        given = json.loads(raw)
        status = given["statusCode"]
        headers = {str(key): str(value) for key, value in (given.get("headers") or {}).items()}
        body = given.get("body") or ""
    except (ValueError, KeyError, TypeError, AttributeError):
        if fc.cloud.behaviour.switches.http_without_status_code == "ok":
            return Response(raw, 200)
        return _refused(502, "BadResponse", "The function's answer has no statusCode.")
    size = sum(len(key) + len(value) for key, value in headers.items())
    if size > _HEADERS_LIMIT:
        return _refused(502, "BadResponse", "The function's headers are too long.")
    kept = {
        key: value
        for key, value in headers.items()
        if key.lower() not in _RESERVED and not key.lower().startswith("x-fc-")
    }
    payload = base64.b64decode(body) if given.get("isBase64Encoded") else str(body).encode()
    return Response(payload, int(status), kept)


def _refused(status: int, code: str, message: str) -> Response:
    body = {"RequestId": request_id(), "Code": code, "Message": message}
    return Response(json.dumps(body), status, content_type="application/json")


def to_destination(  # noqa: PLR0913 -- all that the payload tells
    fc: Fc, name: str, target: str, condition: str, event: bytes, outcome: Outcome
) -> None:
    """The outcome of an asynchronous invocation is on its way to a queue, topic or function."""
    found = _TARGET.fullmatch(target)
    if found is None:
        return
    place = f"{fc.props(name).region}:{fc.settings.account_uid}"
    payload = {
        "timestamp": int(fc.cloud.clock.now() * 1000),
        "requestContext": {
            "requestId": request_id(),
            "functionArn": f"acs:fc:{place}:functions/{name}",
            "condition": condition,
        },
        "requestPayload": event.decode("utf-8", "replace"),
        "responseContext": {
            "statusCode": 200,
            "functionError": outcome.error_type or "",
        },
        "responsePayload": outcome.body.decode("utf-8", "replace"),
    }
    raw = json.dumps(payload).encode()
    uid = fc.settings.account_uid
    if found["kind"] == "queues":
        fc.cloud.mns.send(uid, found["name"], raw)
    elif found["kind"] == "topics":
        fc.cloud.mns.publish(uid, found["name"], raw, None)
    else:
        fc.invoke_async(found["name"], raw)
