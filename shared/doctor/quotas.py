"""How near the system is to the cloud's quotas: counts in, findings out. Pure.

Sources: `QuotaExceeded.VpcCountPerEcr` of CreateExpressConnectRouterAssociation (no default number
is documented); 120 calls a minute of each writing API of Express Connect Router, for an account.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

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
    "grant": "GrantInstanceToExpressConnectRouter",
    "revoke": "RevokeInstanceFromExpressConnectRouter",
    "associate/VPC": "CreateExpressConnectRouterAssociation",
    "associate/VBR": "AttachExpressConnectRouterChildInstance",
    "dissociate/VPC": "DeleteExpressConnectRouterAssociation",
    "dissociate/VBR": "DetachExpressConnectRouterChildInstance",
}


def of_vpcs(ecr_id: str, count: int, quota: int) -> Iterator[Finding]:
    """So many VPCs stand on an ECR that takes so many."""
    if count >= quota:
        yield finding("vpc_quota_used_up", ecr_id, count=count, quota=quota)
    elif count >= quota * NEAR:
        yield finding("vpc_quota_near", ecr_id, count=count, quota=quota)


def of_writes(ahead: Iterable[tuple[str, Turn]], now: datetime) -> Iterator[Finding]:
    """The turns of the APIs reach so far: a turn is one call, at the pace of the quota."""
    for key, turn in sorted(ahead):
        account, _, api = key.removeprefix(APIS).partition("/")
        reach = turn.next_at - now
        if api in _API and reach >= NEAR * _MINUTE:
            percent = round(min(reach / _MINUTE, 1.0) * 100)
            told = {"percent": percent, "seconds": round(reach.total_seconds())}
            yield finding("writes_near_quota", account, api=_API[api], **told)
