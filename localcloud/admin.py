"""The stand-in's own page of controls: `/_localcloud/…`, JSON, unsigned, on loopback alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from werkzeug.wrappers import Response

from localcloud.behaviour import DeliveryFault, Fault, Switches
from localcloud.clock import VirtualClock, iso

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from localcloud.cloud import Cloud


class Admin:
    """State, switches, faults, the clock and the journal of a running cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def answer(self, request: Request) -> Response:
        """Answer one request; a mistake is a 400 that says what is wrong."""
        do = {
            ("GET", "state"): self._state,
            ("GET", "calls"): self._calls,
            ("GET", "logs"): self._logs,
            ("GET", "switches"): lambda _: self._cloud.behaviour.switches.model_dump(),
            ("PATCH", "switches"): self._set_switches,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._order,
            ("DELETE", "faults"): self._clear,
            ("PUT", "delivery"): self._deliver,
            ("POST", "advance"): self._advance,
        }.get((request.method, request.path.removeprefix("/_localcloud/")))
        if do is None:
            return _json({"error": "no such control"}, 404)
        try:
            return _json(do(json.loads(request.get_data() or b"{}")))
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            return _json({"error": str(error)}, 400)

    def _state(self, _: Any) -> dict[str, Any]:
        """What stands in the cloud now."""
        cloud = self._cloud
        with cloud.lock:
            associations = {
                one.subject: one.status(cloud.clock.now()) for one in cloud.ecr.associations()
            }
            grants = [
                {
                    **grant.subject._asdict(),
                    "instance_owner_uid": grant.instance_owner_uid,
                    "authorized_at": iso(grant.created_at),
                    "association": associations.pop(grant.subject, ""),
                }
                for grant in cloud.ecr.grants()
            ]
            queues = {
                f"{account.uid}/{queue.attributes.name}": queue.counts()
                for account in cloud.world.accounts
                for queue in cloud.mns.queues(account.uid)
            }
            left = [
                {**subject._asdict(), "association": status}
                for subject, status in associations.items()
            ]
        return {
            "now": iso(cloud.clock.now()),
            "accounts": [account.uid for account in cloud.world.accounts],
            "authorizations": grants,
            "associations_without_grant": left,
            "queues": queues,
        }

    def _calls(self, _: Any) -> list[dict[str, Any]]:
        return [vars(entry) for entry in list(self._cloud.journal)[-1000:]]

    def _logs(self, _: Any) -> dict[str, list[str]]:
        """The last lines that each function has printed."""
        fc = self._cloud.fc
        if fc is None:
            return {}
        return {name: fc.logs(name)[-1000:] for name in fc.names}

    def _set_switches(self, given: Any) -> dict[str, Any]:
        unknown = given.keys() - Switches.model_fields.keys()
        if unknown:
            raise ValueError(f"no switch {min(unknown)!r}")
        Switches.model_validate({**self._cloud.behaviour.switches.model_dump(), **given})
        for name, value in given.items():
            setattr(self._cloud.behaviour.switches, name, value)
        return self._cloud.behaviour.switches.model_dump()

    def _faults(self, _: Any) -> list[dict[str, Any]]:
        return [fault.model_dump() for fault in self._cloud.behaviour.faults()]

    def _order(self, given: Any) -> list[dict[str, Any]]:
        self._cloud.behaviour.order(Fault.model_validate(given))
        return self._faults(None)

    def _clear(self, _: Any) -> list[dict[str, Any]]:
        self._cloud.behaviour.clear()
        return []

    def _deliver(self, given: Any) -> dict[str, Any]:
        self._cloud.behaviour.delivery = DeliveryFault.model_validate(given)
        return self._cloud.behaviour.delivery.model_dump()

    def _advance(self, given: Any) -> dict[str, Any]:
        clock = self._cloud.clock
        if not isinstance(clock, VirtualClock):
            raise ValueError("the clock is the machine's: start with --virtual-clock to move it")  # noqa: TRY004
        clock.advance(float(given["seconds"]))
        return {"now": iso(clock.now())}


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")
