"""An instance: one process that runs one function, one request at a time."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from localcloud.fc.bootstrap import END_OF_LOG, read, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from localcloud.fc.deployment import Props

_BOOTSTRAP: Final = Path(__file__).with_name("bootstrap.py")
_GRACE_SECONDS: Final = 0.5
_LOG_SECONDS: Final = 1.0
"""How long an answer waits for the lines that were printed before it."""


@dataclass(frozen=True)
class Outcome:
    """What became of an invocation.

    Args:
        body: The answer, or the error's body.
        error_type: The platform's X-Fc-Error-Type, where the function failed.
        alive: The instance can take another request.
    """

    body: bytes
    error_type: str | None = None
    alive: bool = True


class Instance:
    """A process of the function; it ends with its parent, whatever ends that.

    Args:
        props: The function.
        code: The directory that is its code.
        environment: All of its environment.
        account_uid: Whose it is.
        log: Takes each line that it prints.
        python: The interpreter that runs it, and its options.
    """

    def __init__(  # noqa: PLR0913 -- what a process is started with
        self,
        props: Props,
        code: Path,
        environment: Mapping[str, str],
        account_uid: str,
        log: Callable[[str], None],
        python: Sequence[str] = (sys.executable, "-u"),
    ) -> None:
        self._timeout = props.timeout
        ours, theirs = socket.socketpair()
        self._connection = ours
        self._process = subprocess.Popen(  # noqa: S603 -- our own bootstrap
            [*python, str(_BOOTSTRAP), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=code,
            text=True,
            errors="replace",
        )
        theirs.close()
        self._log_read = threading.Event()
        self._reader = threading.Thread(target=self._read_log, args=(log,), daemon=True)
        self._reader.start()
        life = props.instanceLifecycleConfig
        write(
            self._connection,
            {
                "code": str(code),
                "handler": props.handler,
                "initializer": life.initializer.handler if life.initializer else None,
                "pre_stop": life.preStop.handler if life.preStop else None,
                "runtime": props.runtime,
                "region": props.region,
                "account_id": account_uid,
                "function": {
                    "name": props.functionName,
                    "handler": props.handler,
                    "memory": props.memorySize,
                    "timeout": props.timeout,
                },
            },
        )
        self._start_up = life.initializer.timeout if life.initializer else 0

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def invoke(self, event: bytes, request_id: str, environment: Mapping[str, str]) -> Outcome:
        """Hand over one event and wait for its answer, up to the function's time-out."""
        started = time.monotonic()
        self._connection.settimeout(self._timeout + self._start_up)
        self._start_up = 0
        self._log_read.clear()
        try:
            write(
                self._connection,
                {
                    "kind": "invoke",
                    "event": base64.b64encode(event).decode(),
                    "request_id": request_id,
                    "environment": dict(environment),
                },
            )
            answer = read(self._connection)
            if answer is not None and not answer.get("fatal", False):
                self._log_read.wait(_LOG_SECONDS)
        except TimeoutError:
            self.kill()
            seconds = self._timeout
            message = f"Function timed out after {seconds} seconds (maxMemoryUsage: 0.00MB)"
            return _failed({"errorMessage": message}, "FunctionTimedOut")
        except OSError:
            answer = None
        if answer is None:
            self.kill()
            duration = int((time.monotonic() - started) * 1000)
            message = (
                "Process exited unexpectedly before completing request "
                f"(duration: {duration}ms, maxMemoryUsage: 0.00MB)"
            )
            return _failed({"errorMessage": message}, "FunctionExited")
        if "error" in answer:
            alive = not answer.get("fatal", False)
            body = json.dumps(answer["error"]).encode()
            return Outcome(body, "UnhandledInvocationError", alive=alive)
        return Outcome(base64.b64decode(answer["body"]))

    def stop(self) -> None:
        """Let it run its preStop and end."""
        with contextlib.suppress(OSError):
            write(self._connection, {"kind": "stop"})
            self._connection.shutdown(socket.SHUT_WR)
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close()

    def kill(self) -> None:
        """End it as a time-out does: asked first, then not."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(timeout=_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._close()

    def freeze(self) -> None:
        """No time passes for it, as between two requests on the platform."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Time passes again."""
        os.kill(self.pid, signal.SIGCONT)

    def _close(self) -> None:
        self._connection.close()
        self._reader.join(timeout=2)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read_log(self, log: Callable[[str], None]) -> None:
        stream = self._process.stdout
        with contextlib.suppress(ValueError):
            for line in stream or ():
                text, end, _ = line.rstrip("\n").partition(END_OF_LOG)
                if text or not end:
                    log(text)
                if end:
                    self._log_read.set()


def _failed(body: dict[str, Any], kind: str) -> Outcome:
    return Outcome(json.dumps(body).encode(), kind, alive=False)
