"""The whole system on localcloud: real SDKs, real wire, real s.yaml; only the time is virtual.

The functions are called in this process, so that a test can follow them; localcloud hands them
the events that their triggers would.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from copy import deepcopy
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from functions.attach import handler as attach
from functions.authorize import handler as authorize
from functions.cleanup import handler as cleanup
from functions.intake import handler as intake
from functions.notify import handler as notify
from localcloud import worldfile
from localcloud.behaviour import Behaviour, Switches
from localcloud.clock import VirtualClock
from localcloud.fc import Functions, credentials, load
from localcloud.server import LocalCloud
from shared.log import logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from localcloud.fc import Deployment
    from localcloud.world import World

ROOT = Path(__file__).parents[2]
ACCOUNT_A = "1000200030004000"
ENVIRON = {
    "LEDGER_URL": "sqlite://",
    "EXTERNAL_ID_KEY": "demo-external-id-key-demo-external-id-key",
    "WEBHOOK_SECRETS": json.dumps(
        {
            sender: ["whsec_" + b64encode(f"{sender}-secret-canary".encode()).decode()]
            for sender in ("network-desk", "payments-desk")
        }
    ),
    "CLOUD_SECONDS": "1",
}
BUILDERS: dict[str, Any] = {
    "ecr-authorize": authorize.build,
    "ecr-attach": attach.build,
    "ecr-cleanup": cleanup.build,
    "ecr-intake": intake.build,
    "ecr-notify": notify.build,
}


@cache
def _world() -> World:
    return worldfile.load(ROOT / "demo" / "world.yaml")


def demo_world() -> World:
    """The world of the demo, to be changed at will: its file is read once in a process."""
    return deepcopy(_world())


@cache
def _deployment() -> Deployment:
    return load(ROOT / "s.yaml", ENVIRON)


def deployment(ledger_url: str, *, tells: bool) -> Deployment:
    """The shipped s.yaml with a ledger of its own: the file is read once in a process.

    Args:
        ledger_url: The ledger.
        tells: The notify function is deployed, too.
    """
    found = deepcopy(_deployment())
    if not tells:
        del found.resources["notify"]
    for props in found.functions.values():
        props.environmentVariables["LEDGER_URL"] = ledger_url
        for trigger in props.triggers:
            if trigger.triggerType == "timer":  # on a virtual clock it is told when: `clean`
                trigger.triggerConfig.enable = False
    return found


class WireSystem:
    """All functions and the cloud; `settle` moves the time until nothing is left to happen.

    `tells` is the environment of the notify function, which is left out without one: the platform
    calls it by a thread, and what follows chance is the order of other functions' steps.
    """

    def __init__(  # noqa: PLR0913 -- what a test changes about it
        self,
        folder: Path,
        world: World | None = None,
        registry: str | None = None,
        ledger_url: str | None = None,
        start: float | None = None,
        tells: Mapping[str, str] | None = None,
        **switches: Any,
    ) -> None:
        self.clock = VirtualClock(time.time() if start is None else start)
        self._folder = folder
        self._registry = ROOT / "registry.yaml"
        if registry is not None:
            self._registry = folder / "registry.yaml"
            self._registry.write_text(registry)
        self.ledger_url = ledger_url or f"sqlite:///{folder}/ledger.db"
        self._tells = tells
        self._functions: dict[str, Any] = {}
        self._over_at: dict[str, float] = {}
        self._invocations = 0
        functions = Functions(
            deployment(self.ledger_url, tells=tells is not None),
            account_uid=ACCOUNT_A,
            code=ROOT,
            in_process={name: self._caller(name) for name in BUILDERS},
        )
        self.local = LocalCloud(
            world or demo_world(),
            clock=self.clock,
            behaviour=Behaviour(Switches(**switches)),
            functions=functions,
        )
        self.cloud = self.local.cloud

    def __enter__(self) -> Self:
        self.local.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.local.__exit__()
        for name in list(self._functions):
            self.let_go(name)

    def _caller(self, name: str) -> Any:
        if name != "ecr-notify":
            return lambda event: self.invoke(name, event)
        one = Lock()  # an instance takes one event at a time, and these come by threads

        def call(event: bytes) -> object:
            with one:
                return self.invoke(name, event)

        return call

    def invoke(self, name: str, event: bytes) -> object:
        """Run the function's instance on an event, in this process."""
        if self.clock.now() >= self._over_at.get(name, 0.0):
            self.let_go(name)
        if name not in self._functions:
            self._functions[name] = self.built(name)
        self._invocations += 1
        context = SimpleNamespace(
            request_id=f"{name}-{self._invocations}",
            function=SimpleNamespace(name=name, memory=512, version_id="LATEST"),
        )
        return logged(self._functions[name].answer)(event, context)

    def let_go(self, name: str) -> None:
        """The function's instance is gone; the next event finds a new one."""
        function = self._functions.pop(name, None)
        if function is not None:
            getattr(function, "house", function).close()

    def built(self, name: str) -> Any:
        """A new instance of the function, with new credentials."""
        fc = self.cloud.fc
        environ = self.environ(name) | credentials(fc.session(fc.props(name)))
        # An instance does not outlive the credentials that it was started with.
        self._over_at[name] = self.clock.now() + 24 * 3600
        return BUILDERS[name](environ, self.now)

    def environ(self, name: str) -> dict[str, str]:
        """What s.yaml and the platform give the function, but for its credentials."""
        fc = self.cloud.fc
        given = fc.environment(fc.props(name), None) | {"REGISTRY_FILE": str(self._registry)}
        return given | (self._tells or {}) if name == "ecr-notify" else given

    def now(self) -> datetime:
        """The virtual time."""
        return datetime.fromtimestamp(self.clock.now(), tz=timezone.utc)

    def post(self, name: str, **changes: Any) -> None:
        """Send a sample request, changed so."""
        document = json.loads((ROOT / "events" / "requests" / f"{name}.json").read_text())
        self.post_raw(json.dumps({**document, **changes}).encode())

    def post_raw(self, body: bytes) -> None:
        """Send any body to the request queue."""
        self.cloud.mns.send(ACCOUNT_A, "ecr-requests", body)

    def clean(self, payload: str = "") -> dict[str, Any]:
        """The timer fires once; gives what the function answers."""
        event = json.dumps({"triggerName": "timer", "payload": payload}).encode()
        answer: Any = self.invoke("ecr-cleanup", event)
        return dict(answer)

    def settle(self, seconds: float = 3600) -> None:
        """Until nothing is due any more, or so many seconds have gone by."""
        until = self.clock.now() + seconds
        while (due := self.clock.next_due()) is not None and due <= until:
            self.clock.advance(max(0.0, due - self.clock.now()))

    def settle_told(self, seconds: float = 3600) -> None:
        """The same, and the notify function, which runs by a thread, has come to its end."""
        until = self.clock.now() + seconds
        while True:
            self.settle(until - self.clock.now())
            if not self.cloud.fc.idle(60):
                raise AssertionError("the functions do not come to rest")
            due = self.clock.next_due()
            if due is None or due > until:
                return

    @property
    def results(self) -> list[dict[str, Any]]:
        """What the ticketing system has been told."""
        found = self.cloud.mns.queue(ACCOUNT_A, "ticketing-results").peek(1000)
        return [json.loads(message.body)["data"] for message in found]

    def outcomes(self, request_id: str) -> list[str]:
        """What it has been told of one request, in order."""
        return [one["outcome"] for one in self.results if one["request_id"] == request_id]

    def problem(self, request_id: str) -> dict[str, Any]:
        """What it has been told to be wrong with one request."""
        return next(
            one["problem"]
            for one in self.results
            if one["request_id"] == request_id and "problem" in one
        )

    def calls(self, *products: str) -> list[str]:
        """The actions that the cloud was asked for."""
        return [entry.action for entry in self.cloud.journal if entry.product in products]

    def raw_dead_letters(self, queue: str = "ecr-requests-dead") -> int:
        """How many messages lie there, whoever put them: we, or EventBridge."""
        return len(self.cloud.mns.queue(ACCOUNT_A, queue).peek(1000))

    def dead_letters(self, queue: str = "ecr-requests-dead") -> list[dict[str, Any]]:
        """What our functions have buried, each with its reason."""
        found = self.cloud.mns.queue(ACCOUNT_A, queue).peek(1000)
        ours = [message.body for message in found if message.body.startswith(b'{"queue"')]
        return [json.loads(body) for body in ours]
