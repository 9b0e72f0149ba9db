"""Asks accounts B, as the authorize function alone can; it changes nothing.

Each permission is tried on an instance that does not exist: a grant or a revoke of it would change
nothing even where DryRun were passed over. Its session has the statement that the work's own would
have. Made-up instances share a session for each purpose: STS's calls are what a round over many
accounts waits for. A real VBR has one by itself; it is named only to have its grant tried, and only
one that the registry or a lease names.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from shared.cloud.errors import CloudFailure
from shared.cloud.sessions import Role, joint_policy, session_policy
from shared.contract import AuthorizationId
from shared.doctor.findings import (
    PASSED,
    AccountSeen,
    Finding,
    code_of,
    finding,
    of_account,
    of_clock,
)
from shared.external_ids import external_id
from shared.onboarding import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from shared.cloud.credentials import Credentials
    from shared.cloud.network import Network
    from shared.cloud.router import Router
    from shared.cloud.sessions import Purpose, Sessions
    from shared.contract import InstanceType
    from shared.doctor.findings import Entrance
    from shared.external_ids import ExternalIdKeys
    from shared.ledger import Ledger
    from shared.registry import Registry
    from shared.registry.model import Account

MOST_ACCOUNTS: Final = 4
"""In one invocation: about 20 calls of STS, so that its 100 a second are never used up."""
CALLS_A_SECOND: Final = 65
_AT_ONCE: Final = 4
_IN_ONE_SESSION: Final = 5
"""Made-up instances: their statements fit into the longest policy that STS takes."""
_NOWHERE: Final[dict[InstanceType, str]] = {
    "VPC": "vpc-doctor0does0not0exist",
    "VBR": "vbr-doctor0does0not0exist",
}
_NOBODY: Final = "0" * 16
_PURPOSES: Final[tuple[Purpose, ...]] = ("look", "grant", "revoke")
_NAME: Final = "doctor"
_PAGE: Final = 500


@dataclass(frozen=True)
class Examined:
    """What came of a slice of accounts, and how often STS was asked for it."""

    findings: list[Finding]
    assumed: int


@dataclass(frozen=True)
class Examination:
    """Asks accounts B.

    Args:
        new_sessions: Those of the authorize role; new ones, which have kept nothing.
        router: The ECR API.
        network: The VPC API.
        registry: Whose roles, ECRs and regions they are.
        keys: What the ExternalIds are derived from.
        known_vbr: An own VBR of the account with a live lease, where there is one.
        machine_time: What SDKs sign with, UTC.
    """

    new_sessions: Callable[[], Sessions]
    router: Router
    network: Network
    registry: Registry
    keys: ExternalIdKeys
    known_vbr: Callable[[str], AuthorizationId | None]
    machine_time: Callable[[], datetime]

    def of(self, uids: Sequence[str]) -> Examined:
        """What is wrong with these accounts; one that cannot be asked stops none of the others."""
        sessions = self.new_sessions()
        known = [uid for uid in uids if uid in self.registry.accounts]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            seen = list(pool.map(lambda uid: self._looked_at(sessions, uid), known))
        found = [one for account in seen for one in of_account(account)]
        found += [finding("not_deployed", uid) for uid in uids if uid not in known]
        return Examined(found, sessions.asked)

    def clock(self) -> list[Finding]:
        """What is wrong with the function's clock."""
        before = self.machine_time()
        try:
            told = self.new_sessions().introduced()
        except CloudFailure as failure:
            return [finding("clock_not_asked", "ecr-authorize", code=code_of(failure.cloud_code))]
        middle = before + (self.machine_time() - before) / 2
        return list(of_clock((middle - told.at).total_seconds()))

    def _looked_at(self, sessions: Sessions, uid: str) -> AccountSeen:
        account = self.registry.accounts[uid]
        seen = AccountSeen(uid, has_vbr=account.cross_account_vbr is not None)
        ways = tuple(self._ways(account, uid))
        vbrs = tuple(_at(way, "VBR") for way in ways[:1] if seen.has_vbr)
        visit = _Visit(self, sessions, account, uid, seen, ways, vbrs)
        seen.enters = visit.enters()
        if seen.enters != PASSED:
            return seen
        visit.entrances()
        if ways:
            visit.permissions(ways[0], "VPC")
            for way in ways[1:]:
                visit.region(way)
        for way in vbrs:
            visit.permissions(way, "VBR")
        visit.vbr(self._own_vbr(account, uid))
        return seen

    def _ways(self, account: Account, uid: str) -> Iterator[AuthorizationId]:
        """One for each region that the account may ask for, with an ECR that it may."""
        seen: set[str] = set()
        for allowed in account.may:
            for region in allowed.regions:
                if region not in seen and allowed.ecr_id in self.registry.ecrs:
                    seen.add(region)
                    yield AuthorizationId(
                        ecr_id=allowed.ecr_id,
                        ecr_owner_uid=self.registry.ecrs[allowed.ecr_id].owner_uid,
                        instance_id=_NOWHERE["VPC"],
                        instance_type="VPC",
                        instance_region_id=region,
                        instance_owner_uid=uid,
                    )

    def _own_vbr(self, account: Account, uid: str) -> AuthorizationId | None:
        for way in self._ways(account, uid):
            for allowed in account.may:
                for one in allowed.instances or ():
                    if one.startswith("vbr-") and way.instance_region_id in allowed.regions:
                        return _at(way, "VBR", one)
        return self.known_vbr(uid) if account.cross_account_vbr else None


@dataclass(frozen=True)
class _Visit:
    """One account, asked step by step; `ways` and `vbrs` are of instances that do not exist."""

    of: Examination
    sessions: Sessions
    account: Account
    uid: str
    seen: AccountSeen
    ways: tuple[AuthorizationId, ...]
    vbrs: tuple[AuthorizationId, ...]

    def enters(self) -> str:
        """With the right ExternalId; the session is the first look's, which takes it up again."""
        role = Role(self.account.role_arn, *self.of.keys.of(self.uid))
        policy = self._policy(self.ways[0], "look") if self.ways else NOTHING
        return self._code(partial(self._assumed, role, _NAME, policy))

    def entrances(self) -> None:
        """Without an ExternalId, and with one of no account, it must be refused."""
        wrong = external_id(self.of.keys.current, _NOBODY)
        ways: dict[Entrance, SecretStr] = {"without": SecretStr(""), "wrong": wrong}
        for which, secret in ways.items():
            role = Role(self.account.role_arn, secret)
            self.seen.entrances[which] = self._code(
                partial(self._assumed, role, f"{_NAME}-{which}")
            )

    def permissions(self, way: AuthorizationId, kind: InstanceType) -> None:
        """Look, grant and revoke, each with a session of its own."""
        for purpose in _PURPOSES:
            code = self._code(partial(self._tried, way, purpose))
            self.seen.tries[kind, purpose] = code
        if kind == "VPC":
            self.seen.regions[way.instance_region_id] = self.seen.tries[kind, "look"]

    def region(self, way: AuthorizationId) -> None:
        """A look in one more region."""
        self.seen.regions[way.instance_region_id] = self._code(lambda: self._tried(way, "look"))

    def vbr(self, own: AuthorizationId | None) -> None:
        """Whether the grant of an own VBR would be taken."""
        if own is not None:
            self.seen.vbr = own.instance_id, self._code(lambda: self._tried(own, "grant"))

    def _tried(self, way: AuthorizationId, purpose: Purpose) -> None:
        role = Role(self.account.role_arn, *self.of.keys.of(self.uid))
        session = self.sessions.assume(role, self._policy(way, purpose), _NAME)
        if purpose == "look":
            self.of.network.authorized_at(session, way)
        else:
            self.of.router.try_write(session, way, purpose)

    def _assumed(self, role: Role, name: str, policy: str = NOTHING) -> Credentials:
        return self.sessions.assume(role, policy, name)

    def _policy(self, way: AuthorizationId, purpose: Purpose) -> str:
        """That of `way`, and of the made-up instances which are tried for the same purpose."""
        made_up = (*self.vbrs, *(self.ways if purpose == "look" else self.ways[:1]))
        if way not in made_up:
            return session_policy(way, purpose)
        start = made_up.index(way) // _IN_ONE_SESSION * _IN_ONE_SESSION
        return joint_policy(made_up[start : start + _IN_ONE_SESSION], purpose)

    def _code(self, call: Callable[[], object]) -> str:
        try:
            call()
        except CloudFailure as failure:
            return failure.cloud_code
        return PASSED


def leased_vbr(ledger: Ledger, registry: Registry, uid: str) -> AuthorizationId | None:
    """An own VBR of the account that a live lease holds, among the first of each ECR."""
    for allowed in registry.accounts[uid].may:
        page = ledger.authorizations(f"{allowed.ecr_id}:vbr-", "", _PAGE)
        for _, record in page:
            if record is not None and record.id.instance_owner_uid == uid and record.live_leases:
                return record.id
    return None


def _at(way: AuthorizationId, kind: InstanceType, instance_id: str = "") -> AuthorizationId:
    return way.model_copy(
        update={"instance_type": kind, "instance_id": instance_id or _NOWHERE[kind]}
    )
