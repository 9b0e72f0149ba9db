"""Function Compute: the functions of an s.yaml, run as the platform runs them."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from localcloud.call import CloudError
from localcloud.fc import http
from localcloud.fc.deployment import Deployment, DeploymentError, Props, load
from localcloud.fc.instance import Instance, Outcome
from localcloud.fc.triggers import connect
from localcloud.fc.wire import FcWire
from localcloud.incoming import request_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from werkzeug.wrappers import Request, Response

    from localcloud.acs import Acs
    from localcloud.cloud import Cloud
    from localcloud.identity import Session

__all__ = ["Deployment", "DeploymentError", "Fc", "Functions", "load"]

SYNC_LIMIT: Final = 32 * 1024 * 1024
ASYNC_LIMIT: Final = 128 * 1024
_SESSION_SECONDS: Final = 36 * 3600.0
_LOG_LINES: Final = 20_000
_KEPT: Final = 5_000
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_PRODUCTS: Final = ("EXPRESSCONNECTROUTER", "VPC", "STS", "MNS")


@dataclass(frozen=True)
class Functions:
    """A deployment to run.

    Args:
        deployment: The s.yaml, read by `load`.
        code: The code of every function, where it is not what the s.yaml names.
        root: What the s.yaml's own code paths are relative to.
        account_uid: The account that it is deployed to.
        environment: More environment for every function, beside its own.
        most_instances: How many instances a function may have at once.
        in_process: Functions to be called in this process, by name, in place of instances: for
            tests that follow them with a debugger or count their branches.
        python: The interpreter of the instances, with its options, where it is not this one's own.
        legacy_services: For FC 2.0 clients: service name -> function name there -> function here.
    """

    deployment: Deployment
    account_uid: str
    code: Path | None = None
    root: Path = field(default_factory=Path.cwd)
    environment: Mapping[str, str] = field(default_factory=dict)
    most_instances: int = 3
    in_process: Mapping[str, Callable[[bytes], object]] = field(default_factory=dict)
    python: tuple[str, ...] = (sys.executable, "-u")
    legacy_services: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Invocation:
    """One invocation in the journal."""

    function: str
    request_id: str
    at: float
    seconds: float
    outcome: Outcome


class Fc:
    """All functions of one account, their instances, logs and triggers."""

    def __init__(self, cloud: Cloud, functions: Functions, url: str) -> None:
        self.cloud = cloud
        self.settings = functions
        self._url = url
        self._runners = {
            name: _Runner(self, props) for name, props in functions.deployment.functions.items()
        }
        self.journal: deque[Invocation] = deque(maxlen=_KEPT)
        self.stopping = threading.Event()
        self._tasks: set[tuple[str, str]] = set()
        self._busy = 0
        self._quiet = threading.Condition()
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="fc")

    def start(self) -> None:
        """Listen to the triggers."""
        for name, runner in self._runners.items():
            for trigger in runner.props.triggers:
                connect(self, name, trigger)

    def close(self) -> None:
        """No more events; every instance runs its preStop and ends."""
        self.stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for runner in self._runners.values():
            runner.close()

    @property
    def names(self) -> list[str]:
        """The functions that are run."""
        return list(self._runners)

    def props(self, name: str) -> Props:
        """The function as deployed. Raises CloudError FunctionNotFound."""
        if name not in self._runners:
            raise CloudError(404, "FunctionNotFound", f"function {name} does not exist")
        return self._runners[name].props

    def invoke(self, name: str, event: bytes, *, asked_as: str | None = None) -> Outcome:
        """Run the function on one event and wait for its outcome."""
        self.props(name)
        if len(event) > SYNC_LIMIT:
            raise CloudError(413, "PayloadTooLarge", "a synchronous event holds 32 MB at most")
        self.begin()
        started, asked = time.monotonic(), asked_as or request_id()
        try:
            called = self.settings.in_process.get(name)
            outcome = _called(called, event) if called else self._runners[name].run(event, asked)
        finally:
            self.end()
        seconds = time.monotonic() - started
        self.journal.append(Invocation(name, asked, self.cloud.clock.now(), seconds, outcome))
        return outcome

    def soon(self, action: Callable[[], None]) -> None:
        """Run an action by a thread of the platform's; `idle` waits for it."""
        if self.stopping.is_set():
            return
        self.begin()

        def run() -> None:
            try:
                action()
            finally:
                self.end()

        self._pool.submit(run)

    def invoke_async(self, name: str, event: bytes) -> bool:
        """Queue an event: it is retried as asyncInvokeConfig says. False where it is too large."""
        if len(event) > ASYNC_LIMIT:
            return False
        config = self.props(name).asyncInvokeConfig
        born = self.cloud.clock.now()
        asked = request_id()

        def attempt(left: int, delay: float) -> None:
            outcome = self.invoke(name, event, asked_as=asked)
            if outcome.error_type is None:
                self._arrived(name, event, "onSuccess", outcome)
                return
            now = self.cloud.clock.now()
            if left == 0 or now + delay - born > config.maxAsyncEventAgeInSeconds:
                self._arrived(name, event, "onFailure", outcome)
                return
            self.cloud.clock.call_at(
                now + delay, lambda: self.soon(lambda: attempt(left - 1, delay * 2))
            )

        self.soon(lambda: attempt(config.maxAsyncRetryAttempts, 1.0))
        return True

    def first_of(self, name: str, task: str) -> bool:
        """Whether an asynchronous task of this id has not been seen before."""
        with self._quiet:
            known = (name, task) in self._tasks
            self._tasks.add((name, task))
        return not known

    def _arrived(self, name: str, event: bytes, condition: str, outcome: Outcome) -> None:
        destinations = self.props(name).asyncInvokeConfig.destinationConfig
        chosen = getattr(destinations, condition) if destinations else None
        if chosen is not None:
            http.to_destination(self, name, chosen.destination, condition, event, outcome)

    def logs(self, name: str) -> list[str]:
        """What the function's instances have printed."""
        return list(self._runners[name].log)

    def instances(self, name: str) -> list[Instance]:
        """The instances that live now."""
        return self._runners[name].instances()

    def begin(self) -> None:
        """Something is under way."""
        with self._quiet:
            self._busy += 1

    def end(self) -> None:
        """It is over."""
        with self._quiet:
            self._busy -= 1
            self._quiet.notify_all()

    def idle(self, timeout: float) -> bool:
        """Wait until nothing is under way; False where that took too long."""
        with self._quiet:
            return self._quiet.wait_for(lambda: self._busy == 0, timeout)

    def http(self, request: Request) -> Response:
        """Answer a request to a function's HTTP trigger: `/_http/<function>/<path>`."""
        return http.answer(self, request)

    def wire(self, acs: Acs) -> FcWire:
        """FC's own APIs."""
        return FcWire(self.cloud, self, acs)

    def environment(self, props: Props, session: Session | None) -> dict[str, str]:
        """All that a function's process has in its environment."""
        given = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        given |= {
            "FC_FUNC_CODE_PATH": str(self.code(props)),
            "FC_ACCOUNT_ID": self.settings.account_uid,
            "FC_REGION": props.region,
            "FC_FUNCTION_NAME": props.functionName,
            "FC_FUNCTION_HANDLER": props.handler,
            "FC_FUNCTION_MEMORY_SIZE": str(props.memorySize),
            "FC_QUALIFIER": "LATEST",
            "FC_FUNCTION_VERSION": "1",
            "FC_INSTANCE_ID": request_id(),
            **{f"ALIBABA_CLOUD_ENDPOINT_{product}": self._url for product in _PRODUCTS},
            **self.settings.environment,
            **props.environmentVariables,
        }
        return given | (credentials(session) if session else {})

    def code(self, props: Props) -> Path:
        """The directory of a function's code."""
        return (self.settings.code or self.settings.root / props.code).resolve()

    def session(self, props: Props) -> Session | None:
        """Credentials of the function's role, if it has one."""
        if props.role is None:
            return None
        name = props.functionName[:64]
        return self.cloud.identity.service_session(
            props.role, "fc.aliyuncs.com", name, _SESSION_SECONDS
        )


def _called(function: Callable[[bytes], object], event: bytes) -> Outcome:
    """The outcome of a function of this process."""
    try:
        return Outcome(json.dumps(function(event)).encode())
    except Exception as error:  # noqa: BLE001 -- the platform answers for user code
        body = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
        return Outcome(json.dumps(body).encode(), "UnhandledInvocationError")


def credentials(session: Session) -> dict[str, str]:
    """A session as the platform puts it into the environment."""
    return {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": session.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": session.secret,
        "ALIBABA_CLOUD_SECURITY_TOKEN": session.token,
    }


class _Runner:
    """The instances of one function: reused while they are idle, more of them under load."""

    def __init__(self, fc: Fc, props: Props) -> None:
        self.props = props
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self._fc = fc
        self._idle: list[Instance] = []
        self._busy: list[Instance] = []
        self._changed = threading.Condition()

    def run(self, event: bytes, asked: str) -> Outcome:
        instance = self._take()
        refreshed: dict[str, str] = {}
        if self._fc.cloud.behaviour.switches.credentials_refresh:
            session = self._fc.session(self.props)
            refreshed = credentials(session) if session else {}
        self.log.append(f"FC Invoke Start RequestId: {asked}")
        outcome = instance.invoke(event, asked, refreshed)
        self.log.append(f"FC Invoke End RequestId: {asked}")
        if not outcome.alive:
            instance.kill()
        with self._changed:
            self._busy.remove(instance)
            if outcome.alive:
                self._idle.append(instance)
            self._changed.notify()
        return outcome

    def instances(self) -> list[Instance]:
        with self._changed:
            return [*self._idle, *self._busy]

    def close(self) -> None:
        with self._changed:
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for instance in idle:
            instance.stop()
        for instance in busy:
            instance.kill()

    def _take(self) -> Instance:
        with self._changed:
            while not self._idle and len(self._busy) >= self._fc.settings.most_instances:
                self._changed.wait(1)
            instance = self._idle.pop() if self._idle else self._new()
            self._busy.append(instance)
            return instance

    def _new(self) -> Instance:
        environment = self._fc.environment(self.props, self._fc.session(self.props))
        return Instance(
            self.props,
            self._fc.code(self.props),
            environment,
            self._fc.settings.account_uid,
            self.log.append,
            self._fc.settings.python,
        )
