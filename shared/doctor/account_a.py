"""Account A as the operator's key sees it: ECRs, queues, subscriptions, traces of the timer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.cleanup.notes import LAST_REPORT, CleanupRun, noted
from shared.cloud.errors import NO_ECR, CloudFailure, is_denied
from shared.doctor.findings import Finding, NotChecked, code_of, finding, of_subscription
from shared.doctor.quotas import of_vpcs, of_writes
from shared.ledger import LedgerUnavailable
from shared.turns import APIS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from shared.cloud.credentials import Credentials
    from shared.cloud.listings import Listings
    from shared.cloud.messages import Messages
    from shared.ledger import Ledger
    from shared.registry import Registry

QUEUES: Final = ("ecr-requests", "ecr-attachments", "ticketing-results")
DEAD: Final = ("ecr-requests-dead", "ecr-attachments-dead", "ecr-answers-dead")
TOPIC: Final = "ecr-results"
SUBSCRIPTIONS: Final = {
    "attach-what-is-granted": ("ecr-attachments", "granted"),
    "detach-what-is-revoked": ("ecr-attachments", "revoking"),
    "revoke-what-is-detached": ("ecr-requests", "detached"),
    "tell-the-ticketing-system": ("ticketing-results", ""),
}
"""Name, queue, tag: what infra/account-a.yaml makes."""
FORM: Final = "SIMPLIFIED"
SILENT_AFTER: Final = timedelta(minutes=35)
"""The timer comes every ten minutes, and a run may take three of them."""
_MOST_TURNS: Final = 1000

ALWAYS: Final = (
    NotChecked(
        what="triggers of the functions, their roles and their code",
        why="Function Compute's own reading calls are not made; the timer is known by its traces",
    ),
    NotChecked(
        what="dead-letter queues of the subscriptions (DlqPolicy)",
        why="GetSubscriptionAttributes of the SDK in use does not show them",
    ),
    NotChecked(
        what="quotas of ECRs in an account, VBRs and route entries on an ECR",
        why="Alibaba Cloud documents no number and no call that tells it: see Quota Center",
    ),
)


@dataclass(frozen=True)
class AccountA:
    """Looks at account A.

    Args:
        account_uid: Account A.
        region: Where the queues are.
        messages: Its queues and topic.
        listings: The ECR API.
        credentials: The operator's.
        registry: Which ECRs there are to be.
        ledger: Where the clean-up leaves its reports; None where it is not to be had.
        no_ledger: Why not.
        now: The clock, UTC.
    """

    account_uid: str
    region: str
    messages: Messages
    listings: Listings
    credentials: Callable[[], Credentials]
    registry: Registry
    ledger: Ledger | None
    no_ledger: str
    now: Callable[[], datetime]

    def examined(self) -> tuple[list[Finding], list[NotChecked]]:
        """What is wrong, and what cannot be seen from here."""
        found: list[Finding] = []
        unseen: list[NotChecked] = list(ALWAYS)
        parts = (
            *self._ecrs(),
            *self._queues(),
            *self._subscriptions(),
            *self._timer(),
            *self._writes(),
        )
        for one in parts:
            (found if isinstance(one, Finding) else unseen).append(one)  # type: ignore[arg-type]
        return found, unseen

    def _ecrs(self) -> Iterator[Finding | NotChecked]:
        for ecr_id, ecr in self.registry.ecrs.items():
            if ecr.owner_uid != self.account_uid:
                told = {"owner": ecr.owner_uid, "account": self.account_uid}
                yield finding("ecr_not_ours", ecr_id, **told)
                continue
            try:
                if not self.listings.exists(self.credentials(), ecr_id):
                    yield finding("ecr_missing", ecr_id)
                    continue
            except CloudFailure as failure:
                if failure.cloud_code == NO_ECR:
                    yield finding("ecr_missing", ecr_id)
                else:
                    yield finding("ecr_not_asked", ecr_id, code=code_of(failure.cloud_code))
                continue
            yield from self._vpcs(ecr_id, ecr.vpc_quota)

    def _vpcs(self, ecr_id: str, quota: int | None) -> Iterator[Finding | NotChecked]:
        if quota is None:
            why = "registry.yaml has no vpc_quota for it: copy the number from Quota Center"
            yield NotChecked(what=f"how near {ecr_id} is to its quota of VPCs", why=why)
            return
        try:
            count = self.listings.vpcs(self.credentials(), ecr_id)
        except CloudFailure as failure:
            yield finding("vpcs_not_counted", ecr_id, code=code_of(failure.cloud_code))
            return
        yield from of_vpcs(ecr_id, count, quota)

    def _writes(self) -> Iterator[Finding | NotChecked]:
        now = self.now()
        try:
            ahead = self._ledger().turns_ahead(APIS, now, _MOST_TURNS)
        except LedgerUnavailable as error:
            what = "how near the writes are to the APIs' quotas"
            yield NotChecked(what=what, why=f"their turns are on the ledger: {error}")
            return
        yield from of_writes(ahead, now)

    def _queues(self) -> Iterator[Finding | NotChecked]:
        for name in (*QUEUES, *DEAD):
            try:
                count = self.messages.lying(name)
            except CloudFailure as failure:
                if failure.cloud_code == "QueueNotExist":
                    yield finding("queue_missing", name)
                else:
                    yield _unseen(f"queue {name}", "mns:GetQueueAttributes", failure)
                continue
            if name in DEAD and count:
                yield finding("dead_letters", name, count=count)

    def _subscriptions(self) -> Iterator[Finding | NotChecked]:
        place = f"acs:mns:{self.region}:{self.account_uid}"
        for name, (queue, tag) in SUBSCRIPTIONS.items():
            try:
                shown = self.messages.subscription(TOPIC, name)
            except CloudFailure as failure:
                if failure.cloud_code == "TopicNotExist":
                    yield finding("topic_missing", TOPIC)
                    return
                if failure.cloud_code == "SubscriptionNotExist":
                    yield finding("subscription_missing", name)
                else:
                    what = f"subscription {name}"
                    yield _unseen(what, "mns:GetSubscriptionAttributes", failure)
                continue
            wanted = {"endpoint": f"{place}:queues/{queue}", "tag": tag, "format": FORM}
            seen = {"endpoint": shown.endpoint, "tag": shown.filter_tag, "format": shown.form}
            yield from of_subscription(name, wanted, seen)

    def _timer(self) -> Iterator[Finding | NotChecked]:
        what = "whether the clean-up's timer fires"
        try:
            known = noted(self._ledger(), LAST_REPORT, CleanupRun).document
        except LedgerUnavailable as error:
            yield NotChecked(what=what, why=f"its reports are on the ledger: {error}")
            return
        if known is None:
            yield NotChecked(what=what, why="the clean-up has not reported yet")
            return
        age = self.now() - (known.finished_at or known.started_at)
        if age > SILENT_AFTER:
            yield finding("timer_silent", "ecr-cleanup", minutes=int(age.total_seconds() // 60))

    def _ledger(self) -> Ledger:
        if self.ledger is None:
            raise LedgerUnavailable(self.no_ledger)
        return self.ledger


def _unseen(what: str, action: str, failure: CloudFailure) -> NotChecked:
    code = code_of(failure.cloud_code)
    if is_denied(failure.cloud_code):
        return NotChecked(what=what, why=f"the key may not call {action} ({code})")
    return NotChecked(what=what, why=f"{action} gave no answer ({code})")
