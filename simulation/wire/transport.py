"""HTTP without sockets: what the SDKs hand to HTTP goes to localcloud's application in one call."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import requests
from mns.mns_exception import MNSClientNetworkException
from mns.mns_http import ResponseInternal
from requests.adapters import BaseAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.server import Application


class Cut(Exception):
    """The connection was closed before an answer came."""


class _Connection:
    """What localcloud shuts down to leave a call without its answer."""

    def __init__(self) -> None:
        self.is_cut = False

    def shutdown(self, _: int) -> None:
        self.is_cut = True


def answered(
    application: Application, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, str, dict[str, str], bytes]:
    """Status, reason, headers and body of the answer. Raises Cut."""
    parts = urlsplit(url)
    connection = _Connection()
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(parts.path, "latin-1"),
        "QUERY_STRING": parts.query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "werkzeug.socket": connection,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = str(value)
    said: list[Any] = []
    content = b"".join(application(environ, lambda *given: said.append(given)))
    if connection.is_cut:
        raise Cut
    status, _, reason = said[0][0].partition(" ")
    return int(status), reason, dict(said[0][1]), content


def session(application: Application) -> requests.Session:
    """A session of `requests`, as the RPC SDKs use one, whose connections are calls."""
    found = requests.Session()
    found.mount("http://", _Adapter(application))
    return found


class _Adapter(BaseAdapter):
    def __init__(self, application: Application) -> None:
        super().__init__()
        self._application = application

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        body = request.body or b""
        try:
            status, reason, headers, content = answered(
                self._application, request.method, request.url, request.headers, body
            )
        except Cut:
            raise requests.ConnectionError("the connection was closed") from None
        response = requests.Response()
        response.status_code, response.reason, response.url = status, reason, request.url
        response.headers.update(headers)
        response.raw = io.BytesIO(content)
        response.request = request
        return response

    def close(self) -> None:
        return


def mns_answer(application: Application, host: str, request: Any) -> ResponseInternal:
    """What `MNSHttp.send_request` gives and raises."""
    data = request.data.encode() if isinstance(request.data, str) else request.data or b""
    headers = {"Host": host, **request.header}
    try:
        status, _, found, content = answered(
            application, request.method, request.uri, headers, data
        )
    except Cut:
        raise MNSClientNetworkException(
            "NetWorkException", "the connection was closed", request.get_req_id()
        ) from None
    return ResponseInternal(status=status, header=found, data=content.decode())
