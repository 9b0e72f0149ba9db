"""What runs in a function's own process: Function Compute's Python runtime, as a handler sees it.

It is started as a script with the number of a socket, and imports nothing of the stand-in.
"""

from __future__ import annotations

import base64
import faulthandler
import importlib
import json
import logging
import os
import signal
import socket
import struct
import sys
import time
import traceback
from typing import Any, Final

END_OF_LOG: Final = "\0end of the invocation's log"
"""The last that is printed of an invocation, for the reader of the log; no line of the log."""


class _Named:
    """An object with attributes, as the runtime's own are."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Context(_Named):
    """The context of an invocation: 3.12's, which bears no credentials, or the older one."""

    logger: Any = None

    def getLogger(self) -> logging.Logger:  # noqa: N802 -- the runtime's name
        """The runtime's logger."""
        logger = logging.getLogger()
        self.logger = logger
        return logger


def context(config: dict[str, Any], request_id: str) -> Context:
    """The context as this runtime makes it."""
    function = config["function"]
    if config["runtime"] == "python3.12":
        return Context(
            request_id=request_id,
            function=_Named(**function, version_id="1", qualifier="LATEST"),
            region=config["region"],
            account_id=config["account_id"],
            log_project="",
            log_store="",
        )
    older = Context(
        request_id=request_id,
        credentials=_Named(
            access_key_id=os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID"),
            access_key_secret=os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
            security_token=os.environ.get("ALIBABA_CLOUD_SECURITY_TOKEN"),
        ),
        function=_Named(**function),
        service=_Named(log_project="", log_store="", qualifier="LATEST", version_id="1"),
        region=config["region"],
        account_id=config["account_id"],
        tracing=_Named(),
        retry_count=0,
    )
    older.getLogger()
    return older


class Failure(Exception):
    """An error body that takes the answer's place."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body["errorMessage"])
        self.body = body


def loaded(handler: str) -> Any:
    """The function that `dir/mod.func` or `a.b.func` names."""
    path, _, name = handler.rpartition(".")
    module_name = path.replace("/", ".")
    try:
        module = importlib.import_module(module_name)
    except SyntaxError as error:
        raise Failure(_body("UserCodeSyntaxError", str(error), [])) from None
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise Failure(_body("ImportModuleError", message, _frames(error))) from None
    function = getattr(module, name, None)
    if not callable(function):
        raise Failure(_body("HandlerNotFound", f"Handler '{name}' is missing on module", []))
    return function


def encoded(value: Any) -> bytes:
    """The answer as the platform passes it on."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, indent=4, sort_keys=True, default=_foreign).encode()


def _foreign(value: Any) -> Any:
    for method in ("to_json", "isoformat"):
        if hasattr(value, method):
            return getattr(value, method)()
    if type(value).__name__ == "Decimal":
        return float(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def _body(kind: str, message: str, frames: list[Any]) -> dict[str, Any]:
    return {"errorMessage": message, "errorType": kind, "stackTrace": frames}


def _frames(error: BaseException) -> list[list[str]]:
    return [
        [f'File "{one.filename}"', f"line {one.lineno}", f"in {one.name}", one.line or ""]
        for one in traceback.extract_tb(error.__traceback__)
        if one.filename != __file__ and "importlib" not in one.filename
    ]


def read(connection: socket.socket) -> dict[str, Any] | None:
    """The next message: its length in four bytes, then JSON; None where the other end is gone."""
    head = _exactly(connection, 4)
    if head is None:
        return None
    raw = _exactly(connection, struct.unpack(">I", head)[0])
    return None if raw is None else dict(json.loads(raw))


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)


def write(connection: socket.socket, message: dict[str, Any]) -> None:
    """The message is sent, as `read` takes it."""
    raw = json.dumps(message).encode()
    connection.sendall(struct.pack(">I", len(raw)) + raw)


class _UtcFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)


def _log_as_the_platform() -> None:
    handler = logging.StreamHandler(sys.stdout)
    form = "%(asctime)s.%(msecs)03dZ [%(levelname)s] %(message)s"
    handler.setFormatter(_UtcFormatter(form, "%Y-%m-%dT%H:%M:%S"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


def _once(function: Any, argument: list[Any]) -> dict[str, Any]:
    try:
        return {"body": base64.b64encode(encoded(function(*argument))).decode()}
    except Failure as failure:
        return {"error": failure.body}
    except Exception as error:  # noqa: BLE001 -- the platform answers for user code
        traceback.print_exc()
        return {"error": _body(type(error).__name__, str(error), _frames(error))}


def main(number: int) -> None:
    """Serve invocations until the other end closes."""
    connection = socket.socket(fileno=number)
    config = read(connection)
    if config is None:
        return
    sys.path[0:1] = [config["code"]]
    faulthandler.register(signal.SIGTERM, chain=True)
    _log_as_the_platform()
    handler = initialized = None
    while (request := read(connection)) is not None:
        if request["kind"] == "stop":
            if config.get("pre_stop"):
                _once(loaded(config["pre_stop"]), [context(config, "pre-stop")])
            return
        os.environ.update(request.get("environment", {}))
        try:
            handler = handler or loaded(config["handler"])
            if config.get("initializer") and initialized is None:
                initialized = _once(
                    loaded(config["initializer"]), [context(config, request["request_id"])]
                )
                if "error" in initialized:
                    raise Failure(initialized["error"])
        except Failure as failure:
            write(connection, {"error": failure.body, "fatal": True})
            return
        event = base64.b64decode(request["event"])
        answer = _once(handler, [event, context(config, request["request_id"])])
        sys.stdout.write(f"{END_OF_LOG}\n")
        sys.stdout.flush()
        write(connection, answer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
