"""Planted bugs of the clean-up: each is to be noticed by the schedules that the timer tends."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared import policy
from shared.cleanup import audit, differences, findings, mending, run, view
from shared.cleanup.asking import Asking
from shared.cleanup.brake import BrakeOn
from shared.cleanup.findings import Comparison
from shared.cleanup.run import Cleanup
from shared.cleanup.view import View
from shared.contract import ALL_LEASES
from shared.policy import _grant_refusal
from shared.registry import Brake, Registry
from shared.testimony import Testimony
from simulation.bugs import Plant, replaced
from simulation.ports import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TENDED_BUGS: dict[str, Plant] = {}


def bug(name: str) -> Callable[[Plant], Plant]:
    """Register a planted bug: a function that says which attributes are replaced by what."""

    def register(plant: Plant) -> Plant:
        TENDED_BUGS[name] = plant
        return plant

    return register


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The bug is in the code inside the block, and gone after it."""
    with replaced(TENDED_BUGS[name]()):
        yield


@bug("the brake is ignored")
def _() -> list[tuple[Any, str, Any]]:
    return [(Brake, "stops", lambda self, wanted, seen: False)]


@bug("what is braked is asked for all the same")
def _() -> list[tuple[Any, str, Any]]:
    decided = Cleanup.__dict__["_decided"]

    def asks(self: Cleanup, run: Any) -> Any:
        done = decided(self, run)
        if done.outcome == "braked":
            for part in self.asking.parts(done, 0):
                self.asking.ask(done, part)
        return done

    return [(Cleanup, "_decided", asks)]


@bug("a braked list is released by itself")
def _() -> list[tuple[Any, str, Any]]:
    released = Cleanup.__dict__["_ask_for_what_was_released"]

    def at_once(self: Cleanup) -> Any:
        known = self._noted(run.BRAKE, BrakeOn)
        if known.document is not None and known.document.holds:
            return self._released(known.document, known.version)
        return released(self)

    return [(Cleanup, "_ask_for_what_was_released", at_once)]


@bug("a dropped list is asked for")
def _() -> list[tuple[Any, str, Any]]:
    released = Cleanup.__dict__["_ask_for_what_was_released"]

    def all_decided(self: Cleanup) -> Any:
        known = self._noted(run.BRAKE, BrakeOn)
        brake = known.document
        if brake is not None and brake.dropped_by and not brake.is_over:
            return self._released(brake, known.version)
        return released(self)

    return [(Cleanup, "_ask_for_what_was_released", all_decided)]


@bug("a run that observes asks")
def _() -> list[tuple[Any, str, Any]]:
    decided = Cleanup.__dict__["_decided"]

    def asks(self: Cleanup, run: Any) -> Any:
        done = decided(self, run)
        if done.outcome == "observed":
            for part in self.asking.parts(done, 0):
                self.asking.ask(done, part)
        return done

    return [(Cleanup, "_decided", asks)]


@bug("a freeze is ignored")
def _() -> list[tuple[Any, str, Any]]:
    return [(Registry, "frozen", lambda self, now: None)]


@bug("a freeze that begins while it is asked is not seen")
def _() -> list[tuple[Any, str, Any]]:
    ask = Asking.__dict__["ask"]

    class Thawed:
        def __init__(self, registry: Registry) -> None:
            self.exemption = registry.exemption

        def frozen(self, now: Any) -> None:
            return None

    def asks(self: Asking, run: Any, part: Any) -> int:
        registry: Any = Thawed(self.registry)
        return int(ask(replace(self, registry=registry), run, part))

    def go_on(self: Cleanup) -> Any:
        known = self._noted(run.BRAKE, BrakeOn)
        brake = known.document
        if brake is None or brake.is_over or brake.holds or brake.released_by is None:
            return released(self)
        return self._released(brake, known.version)

    released = Cleanup.__dict__["_ask_for_what_was_released"]
    return [(Asking, "ask", asks), (Cleanup, "_ask_for_what_was_released", go_on)]


@bug("new access is given in a freeze")
def _() -> list[tuple[Any, str, Any]]:
    def refusal(request: Any, registry: Any, now: Any, *, is_held: bool) -> Any:
        return _grant_refusal(request, registry, now, is_held=True)

    return [(policy, "_grant_refusal", refusal)]


@bug("an exemption is ignored")
def _() -> list[tuple[Any, str, Any]]:
    return [(Registry, "exemption", lambda self, of, lease, now: None)]


@bug("an exemption of one lease is read as another's")
def _() -> list[tuple[Any, str, Any]]:
    exemption = Registry.__dict__["exemption"]
    return [
        (Registry, "exemption", lambda self, of, lease, now: exemption(self, of, "CHG-0", now)),
    ]


@bug("an expired lease takes the renewed one with it")
def _() -> list[tuple[Any, str, Any]]:
    end_of = mending.end_of

    def all_of(of: Any, lease: Any, now: Any) -> dict[str, Any]:
        return {**end_of(of, lease, now), "lease": ALL_LEASES}

    return [(mending, "end_of", all_of)]


@bug("a stray's revoke ends leases")
def _() -> list[tuple[Any, str, Any]]:
    stray = mending.revoke_of_stray

    def all_of(of: Any, now: Any) -> dict[str, Any]:
        return {**stray(of, now), "lease": ALL_LEASES}

    return [(mending, "revoke_of_stray", all_of)]


@bug("a lease is ended before its time")
def _() -> list[tuple[Any, str, Any]]:
    ends = Comparison.__dict__["_expired"]

    def early(self: Comparison, record: Any) -> Any:
        return ends(replace(self, now=self.now + timedelta(minutes=30)), record)

    return [(Comparison, "_expired", early)]


@bug("a lease past its end is left")
def _() -> list[tuple[Any, str, Any]]:
    return [(Comparison, "_expired", lambda self, record: iter(()))]


@bug("only the first lease past its end is seen")
def _() -> list[tuple[Any, str, Any]]:
    ends = Comparison.__dict__["_expired"]

    def first(self: Comparison, record: Any) -> Any:
        return iter(list(ends(self, record))[:1])

    return [(Comparison, "_expired", first)]


@bug("a listing that failed is taken as gone")
def _() -> list[tuple[Any, str, Any]]:
    unknown = view.unknown

    def gone(ecr_id: str, at: Any, failure: Any) -> Any:
        shown, troubles = unknown(ecr_id, at, failure)
        shown.is_whole = True
        return shown, troubles

    return [(view, "unknown", gone), (run, "unknown", gone)]


@bug("a listing that is suddenly empty is believed")
def _() -> list[tuple[Any, str, Any]]:
    return [(View, "_is_suspicious", lambda self, ecr_id, at: False)]


@bug("what is being worked on is compared")
def _() -> list[tuple[Any, str, Any]]:
    never = lambda record, listed_at: False  # noqa: E731
    return [
        (findings, "is_in_motion", never),
        (differences, "is_in_motion", never),
        (View, "has_moved", lambda self, key, since: False),
    ]


@bug("what no lease holds is not noticed")
def _() -> list[tuple[Any, str, Any]]:
    return [(Comparison, "stranger", lambda self, of: iter(()))]


@bug("what a revoke has left behind is not noticed")
def _() -> list[tuple[Any, str, Any]]:
    drift = Comparison.__dict__["_drift"]
    return [
        (
            Comparison,
            "_drift",
            lambda self, record: drift(self, record) if record.live_leases else iter(()),
        )
    ]


@bug("what a lease misses is not given back")
def _() -> list[tuple[Any, str, Any]]:
    return [(Asking, "look", lambda self, run, part: [])]


@bug("the next part is noted and not asked for")
def _() -> list[tuple[Any, str, Any]]:
    asked = Cleanup.__dict__["_asked"]

    def skips(self: Cleanup, run: Any, cursor: int) -> Any:
        return asked(self, run, cursor + 1)

    return [(Cleanup, "_asked", skips)]


@bug("what failed is asked for under the same id ever after")
def _() -> list[tuple[Any, str, Any]]:
    named = mending._request_id

    def same(what: str, of: Any, lease: str, now: Any) -> str:
        return named(what, of, lease, START)

    return [(mending, "_request_id", same)]


@bug("the audit has what it finds repaired")
def _() -> list[tuple[Any, str, Any]]:
    def take(self: Testimony, document: dict[str, Any]) -> None:
        question = audit.Question.model_validate(document)
        known = self.ledger.authorization(question.audit.key)
        if known is not None:
            record, version = known
            self.ledger.put_authorization(record.with_grant("absent"), version)
        testify(self, document)

    testify = Testimony.__dict__["take"]
    return [(Testimony, "take", take)]
