"""The whole system on localcloud: real SDKs, real wire, real s.yaml; only the time is virtual.

The functions are called in this process, so that a test can follow them; localcloud hands them
the events that their triggers would.
"""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from functions.attach import handler as attach
from functions.authorize import handler as authorize
from localcloud import worldfile
from localcloud.behaviour import Behaviour, Switches
from localcloud.clock import VirtualClock
from localcloud.fc import Functions, credentials, load
from localcloud.server import LocalCloud
from shared.log import logged

if TYPE_CHECKING:
    from typing_extensions import Self

    from functions.wiring import Function
    from localcloud.world import World

ROOT = Path(__file__).parents[2]
ACCOUNT_A = "1000200030004000"
ENVIRON = {
    "LEDGER_URL": "sqlite://",
    "EXTERNAL_ID_KEY": "demo-external-id-key-demo-external-id-key",
    "CLOUD_SECONDS": "1",
}
BUILDERS = {"ecr-authorize": authorize.build, "ecr-attach": attach.build}


class PathSystem:
    """Both functions and the cloud; `settle` moves the time until nothing is left to happen."""

    def __init__(
        self,
        folder: Path,
        world: World | None = None,
        registry: str | None = None,
        ledger_url: str | None = None,
        **switches: Any,
    ) -> None:
        self.clock = VirtualClock(time.time())
        self._folder = folder
        self._registry = ROOT / "registry.yaml"
        if registry is not None:
            self._registry = folder / "registry.yaml"
            self._registry.write_text(registry)
        environ = {**ENVIRON, "LEDGER_URL": ledger_url or f"sqlite:///{folder}/ledger.db"}
        self._deployment = load(ROOT / "s.yaml", environ)
        self._functions: dict[str, Function] = {}
        self._over_at = 0.0
        functions = Functions(
            self._deployment,
            account_uid=ACCOUNT_A,
            code=ROOT,
            in_process={name: self._caller(name) for name in BUILDERS},
        )
        self.local = LocalCloud(
            world or worldfile.load(ROOT / "demo" / "world.yaml"),
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
        for function in self._functions.values():
            function.house.close()

    def _caller(self, name: str) -> Any:
        def call(event: bytes) -> object:
            function = self._functions.get(name)
            if function is not None and self.clock.now() > self._over_at:
                function.house.close()
                function = None
            if function is None:
                function = self._built(name)
            return logged(function.answer)(event, None)

        return call

    def _built(self, name: str) -> Function:
        fc = self.cloud.fc
        props = fc.props(name)
        environ = fc.environment(props, None) | {"REGISTRY_FILE": str(self._registry)}
        environ |= credentials(fc.session(props))
        # An instance does not outlive the credentials that it was started with.
        self._over_at = self.clock.now() + 24 * 3600
        self._functions[name] = BUILDERS[name](environ, self.now)
        return self._functions[name]

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now(), tz=timezone.utc)

    def post(self, name: str, **changes: Any) -> None:
        document = json.loads((ROOT / "events" / "requests" / f"{name}.json").read_text())
        self.post_raw(json.dumps({**document, **changes}).encode())

    def post_raw(self, body: bytes) -> None:
        self.cloud.mns.send(ACCOUNT_A, "ecr-requests", body)

    def settle(self, seconds: float = 3600) -> None:
        """Until nothing is due any more, or so many seconds have gone by."""
        until = self.clock.now() + seconds
        while (due := self.clock.next_due()) is not None and due <= until:
            self.clock.advance(max(0.0, due - self.clock.now()))

    @property
    def results(self) -> list[dict[str, Any]]:
        found = self.cloud.mns.queue(ACCOUNT_A, "ticketing-results").peek(1000)
        return [json.loads(message.body)["data"] for message in found]

    def outcomes(self, request_id: str) -> list[str]:
        return [one["outcome"] for one in self.results if one["request_id"] == request_id]

    def problem(self, request_id: str) -> dict[str, Any]:
        return next(
            one["problem"]
            for one in self.results
            if one["request_id"] == request_id and "problem" in one
        )

    def calls(self, *products: str) -> list[str]:
        return [entry.action for entry in self.cloud.journal if entry.product in products]

    def raw_dead_letters(self, queue: str = "ecr-requests-dead") -> int:
        """How many messages lie there, whoever put them: we, or EventBridge."""
        return len(self.cloud.mns.queue(ACCOUNT_A, queue).peek(1000))

    def dead_letters(self, queue: str = "ecr-requests-dead") -> list[dict[str, Any]]:
        """What our functions have buried, each with its reason."""
        found = self.cloud.mns.queue(ACCOUNT_A, queue).peek(1000)
        ours = [message.body for message in found if message.body.startswith(b'{"queue"')]
        return [json.loads(body) for body in ours]
