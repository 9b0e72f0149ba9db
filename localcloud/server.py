"""The cloud on a port of the loopback interface: one WSGI application, one threaded server."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from localcloud.acs import Acs
from localcloud.admin import Admin
from localcloud.call import Caller, CloudError
from localcloud.cloud import Cloud
from localcloud.quotas import throttled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

    from localcloud.behaviour import Behaviour, Fault
    from localcloud.clock import Clock
    from localcloud.fc import Functions
    from localcloud.world import World


class Wire(Protocol):
    """One protocol of the cloud."""

    def names(self, request: Request) -> tuple[str, str]:
        """The product and the action that a request is for."""

    def key(self, request: Request) -> str | None:
        """The access key id that a request claims, not verified."""

    def answer(self, request: Request) -> tuple[Response, Caller | None, str | None]:
        """The answer, who asked (once that is known), and the error's code."""

    def error(self, request: Request, error: CloudError) -> Response:
        """The error as the product would answer it."""


class Application:
    """The WSGI application: finds the protocol of a request, and does what was ordered to it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._acs = Acs(cloud)
        self._admin = Admin(cloud)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        request.get_data()
        return self._respond(request)(environ, start_response)

    def _respond(self, request: Request) -> Response:
        if request.path.startswith("/_localcloud/"):
            return self._admin.answer(request)
        if request.path.startswith("/_http/") and self.cloud.fc is not None:
            return self.cloud.fc.http(request)
        wire = self._wire(request)
        product, action = wire.names(request)
        key = wire.key(request)
        account = self.cloud.identity.account_of(key) if key else None
        fault = self.cloud.behaviour.take(product, action, account, "before")
        if fault is not None and fault.kind != "hang":
            self.cloud.note(product, action, account, None, fault.status, f"fault:{fault.kind}")
            return _faulty(fault, wire, request)
        if fault is not None:
            time.sleep(fault.seconds)
        response, caller, code = wire.answer(request)
        arn = caller.arn if caller else None
        self.cloud.note(product, action, account, arn, response.status_code, code)
        fault = self.cloud.behaviour.take(product, action, account, "after")
        if fault is None:
            return response
        if fault.kind == "hang":
            time.sleep(fault.seconds)
            return response
        return _faulty(fault, wire, request)

    def _wire(self, request: Request) -> Wire:
        if request.path.startswith(("/2023-03-30/", "/2016-08-15/")) and self.cloud.fc is not None:
            return self.cloud.fc.wire(self._acs)
        if "x-mns-version" in request.headers or request.path.startswith(("/queues", "/topics")):
            return self.cloud.mns.wire
        return self._acs


def _faulty(fault: Fault, wire: Wire, request: Request) -> Response:
    if fault.kind == "cut":
        connection: socket.socket | None = request.environ.get("werkzeug.socket")
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)
        return Response(status=500)
    if fault.kind == "html":
        page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
        return Response(page, 502, content_type="text/html")
    if fault.kind == "throttle":
        return wire.error(request, throttled(with_header=fault.status == 429))  # noqa: PLR2004
    return wire.error(request, CloudError(fault.status, fault.code, "Ordered by a fault."))


class _Handler(WSGIRequestHandler):
    """HTTP/1.1, one request a connection; no log line for each; no delay between packets."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 -- werkzeug's name
        """Say nothing: the journal knows."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date of an answer: the time that signatures are compared with."""
        application: Any = self.server.app
        now = application.cloud.signing_time() if timestamp is None else timestamp
        return super().date_time_string(now)


class LocalCloud:
    """A running cloud: a context manager that serves until it is left.

    Args:
        world: The accounts and what they own.
        clock: What time it is; the machine's by default.
        behaviour: Switches and faults.
        functions: The deployment whose functions are run, if any.
        port: The port on 127.0.0.1; 0 takes a free one.
    """

    def __init__(
        self,
        world: World,
        *,
        clock: Clock | None = None,
        behaviour: Behaviour | None = None,
        functions: Functions | None = None,
        port: int = 0,
    ) -> None:
        self.cloud = Cloud(world, clock, behaviour)
        self.application = Application(self.cloud)
        self._server = make_server(
            "127.0.0.1", port, self.application, threaded=True, request_handler=_Handler
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._stopped, self._stop = socket.socketpair()
        self._functions = functions

    @property
    def endpoint(self) -> str:
        """Where it listens: `127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """The same as a URL."""
        return f"http://{self.endpoint}"

    def __enter__(self) -> Self:
        """Listen, then run the functions."""
        self._thread.start()
        if self._functions is not None:
            from localcloud.fc import Fc  # noqa: PLC0415 -- only where functions are run

            self.cloud.fc = Fc(self.cloud, self._functions, self.url)
            self.cloud.fc.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the functions, then listening."""
        self.cloud.close()
        self._stop.close()
        self._thread.join(timeout=5)
        self._server.server_close()
        self._stopped.close()

    def _serve(self) -> None:
        """Take connections until told to stop, which is at once: nothing is polled."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._server, selectors.EVENT_READ)
            ready.register(self._stopped, selectors.EVENT_READ)
            while all(key.fileobj is not self._stopped for key, _ in ready.select()):
                self._server.handle_request()
