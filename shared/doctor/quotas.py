"""How near the system is to the cloud's quotas: counts in, findings out. Pure.

Sources: `QuotaExceeded.VpcCountPerEcr` of CreateExpressConnectRouterAssociation (no default number
is documented); 120 calls a minute of each writing API of Express Connect Router, for an account.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.converge import Step
from shared.doctor.findings import finding
from shared.turns import APIS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from shared.doctor.findings import Finding
    from shared.turns import Turn

NEAR: Final = 0.8
"""What is used of a quota, from here on it is near."""
_MINUTE: Final = timedelta(minutes=1)
_API: Final = {
    (Step.GRANT.value, "VPC"): "GrantInstanceToExpressConnectRouter",
    (Step.GRANT.value, "VBR"): "GrantInstanceToExpressConnectRouter",
    (Step.REVOKE.value, "VPC"): "RevokeInstanceFromExpressConnectRouter",
    (Step.REVOKE.value, "VBR"): "RevokeInstanceFromExpressConnectRouter",
    (Step.ASSOCIATE.value, "VPC"): "CreateExpressConnectRouterAssociation",
    (Step.ASSOCIATE.value, "VBR"): "AttachExpressConnectRouterChildInstance",
    (Step.DISSOCIATE.value, "VPC"): "DeleteExpressConnectRouterAssociation",
    (Step.DISSOCIATE.value, "VBR"): "DetachExpressConnectRouterChildInstance",
}


def of_vpcs(ecr_id: str, count: int, quota: int) -> Iterator[Finding]:
    """So many VPCs stand on an ECR that takes so many."""
    if count >= quota:
        yield finding("vpc_quota_used_up", ecr_id, count=count, quota=quota)
    elif count >= quota * NEAR:
        yield finding("vpc_quota_near", ecr_id, count=count, quota=quota)


def of_writes(ahead: Iterable[tuple[str, Turn]], now: datetime) -> Iterator[Finding]:
    """The turns of the APIs reach so far: a turn is one call, at the pace of the quota."""
    taken: dict[tuple[str, str], list[timedelta]] = defaultdict(list)
    for key, turn in ahead:
        account, _, rest = key.removeprefix(APIS).partition("/")
        step, _, kind = rest.partition("/")
        if (step, kind) in _API:
            taken[account, _API[step, kind]].append(turn.next_at - now)
    for (account, api), reaches in sorted(taken.items()):
        share = sum(min(one, _MINUTE) / _MINUTE for one in reaches)
        if share >= NEAR:
            told = {"percent": round(share * 100), "seconds": round(max(reaches).total_seconds())}
            yield finding("writes_near_quota", account, api=api, **told)
