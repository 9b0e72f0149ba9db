"""What is asked for, and when: the stories that the faults are let loose on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.contract import Instance
from simulation.ports import START
from simulation.system import request


@dataclass(frozen=True, eq=False)
class Scenario:
    """Requests with the seconds at which they are put on the queue.

    Args:
        name: For people.
        asks: (seconds, request) in any order.
        standing: Keys of authorizations that must stand in the end, unless the cloud refuses.
        gone: Keys of those that must not, whatever goes wrong.
    """

    name: str
    asks: tuple[tuple[float, dict[str, Any]], ...]
    standing: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def _at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


_VPC = "ecr-hz7core4qk2m1:vpc-bp1payments0main:cn-hangzhou:1000200030004000:VPC:2000300040005000"
_VBR = "ecr-hz7core4qk2m1:vbr-bp1factory0line1:cn-hangzhou:1000200030004000:VBR:3000400050006000"
_GRANT = request("grant_vpc")
_REVOKE = request("revoke_vpc")
_VBR_REVOKE = request("grant_vbr", request_id="R-3", action="revoke", lease="CHG-1003")


def _second(**changes: Any) -> dict[str, Any]:
    return request("grant_vpc", request_id="CHG-2", ticket="CHG-2", **changes)


def _bundle(**changes: Any) -> dict[str, Any]:
    """One ticket for a VPC and a VBR."""
    vpc, vbr = request("grant_vpc"), request("grant_vbr")
    named = [{name: one[name] for name in Instance.model_fields} for one in (vpc, vbr)]
    common = {name: vpc[name] for name in ("action", "ecr_id", "ecr_owner_uid")}
    return {"request_id": "CHG-9", "ticket": "CHG-9", **common, "instances": named, **changes}


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("grant a VPC", ((0, _GRANT),), (_VPC,)),
    Scenario("grant a VBR", ((0, request("grant_vbr")),), (_VBR,)),
    Scenario("grant and revoke a VPC", ((0, _GRANT), (30, _REVOKE))),
    Scenario("grant and revoke a VBR", ((0, request("grant_vbr")), (30, _VBR_REVOKE))),
    Scenario("revoke while it is being attached", ((0, _GRANT), (2, _REVOKE))),
    Scenario(
        "two tickets, the first one ends", ((0, _GRANT), (1, _second()), (30, _REVOKE)), (_VPC,)
    ),
    Scenario(
        "two tickets, both end",
        (
            (0, _GRANT),
            (0, _second()),
            (30, _REVOKE),
            (31, {**_REVOKE, "request_id": "R-2", "lease": "CHG-2"}),
        ),
    ),
    Scenario(
        "renew: a new lease before the old one ends",
        ((0, _GRANT), (20, _second(expires_at="2031-01-01T00:00:00Z")), (40, _REVOKE)),
        (_VPC,),
    ),
    Scenario(
        "revoked, then asked for anew", ((0, _GRANT), (30, _REVOKE), (31, _second())), (_VPC,)
    ),
    Scenario("a revoke overtakes its grant", ((0, _REVOKE), (1, _GRANT)), gone=(_VPC,)),
    Scenario(
        "a revoke of all comes twice, then it is asked for anew",
        (
            (0, _GRANT),
            (30, {**_REVOKE, "lease": "all"}),
            (30, {**_REVOKE, "lease": "all"}),
            (50, _second()),
        ),
        (_VPC,),
    ),
    Scenario(
        "a revoke of all overtakes a grant",
        (
            (0, {**_REVOKE, "lease": "all", "requested_at": _at(0)}),
            (1, {**_GRANT, "requested_at": _at(-5)}),
        ),
        gone=(_VPC,),
    ),
    Scenario("the same request twice", ((0, _GRANT), (1, _GRANT), (30, _GRANT)), (_VPC,)),
    Scenario(
        "one request id for two things",
        ((0, _GRANT), (1, {**_GRANT, "reason": "Another"})),
        (_VPC,),
    ),
    Scenario("a lease that ends by itself", ((0, {**_GRANT, "expires_at": _at(1200)}),)),
    Scenario(
        "a lease that ends by itself, renewed before",
        ((0, {**_GRANT, "expires_at": _at(1200)}), (20, _second())),
        (_VPC,),
    ),
    Scenario(
        "attached by hand, revoked",
        (
            (0, request("grant_attached_by_hand")),
            (
                20,
                request(
                    "grant_attached_by_hand",
                    request_id="R-7",
                    action="revoke",
                    attach=True,
                    lease="CHG-1007",
                ),
            ),
        ),
    ),
    Scenario("one ticket for a VPC and a VBR", ((0, _bundle()),), (_VPC, _VBR)),
    Scenario(
        "one ticket for a VPC and a VBR, all or nothing",
        ((0, _bundle(mode="all_or_nothing")),),
        (_VPC, _VBR),
    ),
    Scenario(
        "all or nothing, and one may not be",
        ((0, _bundle(mode="all_or_nothing", ecr_id="ecr-sg3edge8wv5n2")),),
        gone=(_VPC, _VBR),
    ),
    Scenario(
        "one ticket for a VPC and a VBR, and one that ends both",
        (
            (0, _bundle()),
            (20, _bundle(request_id="R-9", ticket="R-9", action="revoke", lease="CHG-9")),
        ),
    ),
    Scenario(
        "two authorizations on one ECR",
        ((0, _GRANT), (0, request("grant_vbr")), (30, _REVOKE)),
        (_VBR,),
    ),
)
