"""What the doctor makes of what was seen: facts in, findings out. Pure.

A finding's id is stable. Its text names the cloud's codes, never its sentences, and no secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from shared.cloud.errors import NO_ECR, is_denied
from shared.cloud.sessions import NOT_TRUSTED
from shared.contract import Model
from shared.doctor.remedies import EXPLAINED, SKEW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.cloud.sessions import Purpose
    from shared.contract import InstanceType

Level = Literal["ok", "warning", "problem", "unknown"]
Entrance = Literal["without", "wrong"]

_OPEN: Final[dict[Entrance, str]] = {
    "without": "open_without_external_id",
    "wrong": "open_to_any_id",
}
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NO_REGION: Final = frozenset({"UnsupportedRegion", "InvalidRegionId.NotFound"})
_NO_SUCH_ECR: Final = frozenset({NO_ECR, "IllegalParam.EcrOwnerAliUid"})
_VBR_REFUSED: Final = frozenset(
    {
        "OperationDenied.CrossBidAssociating",
        "OperationDenied.CrossAccountAttaching",
        "OperationDenied.NotGrantedByNodeOwner",
        "OperationFailed.RejectedByEcYaochi",
        "OperationFailed.RejectedByVpcYaochi",
    }
)


class Finding(Model):
    """One thing that is not as it should be, or that could not be asked.

    Args:
        id: Stable.
        level: `problem`: requests fail; `warning`: they do not, yet; `unknown`: no answer came.
        about: The account, the ECR, the queue, … that it is about.
        what: What is there.
        why: Why it matters.
        mend: The exact command or template that mends it.
    """

    id: str
    level: Level
    about: str
    what: str
    why: str
    mend: str


class NotChecked(Model):
    """What cannot be seen from here, and why: it is not known to be fine."""

    what: str
    why: str


PASSED: Final = ""
"""In place of the cloud's code: the call was let through."""


@dataclass
class AccountSeen:
    """What was seen of one account B; each answer is the cloud's code, or PASSED.

    Args:
        uid: The account's id.
        enters: With the right ExternalId and the narrowed session.
        entrances: Without an ExternalId, and with one of no account.
        tries: Each permission, on an instance that does not exist.
        regions: A look in each region of the registry.
        has_vbr: The registry says that VBRs are enabled for other accounts' ECRs.
        vbr: The grant of an own VBR, where one is known.
    """

    uid: str
    enters: str = PASSED
    entrances: dict[Entrance, str] = field(default_factory=dict)
    tries: dict[tuple[InstanceType, Purpose], str] = field(default_factory=dict)
    regions: dict[str, str] = field(default_factory=dict)
    has_vbr: bool = False
    vbr: tuple[str, str] | None = None


def finding(name: str, about: str, **told: object) -> Finding:
    """The finding of this id, told in the words that stand for it."""
    level, what, why, mend = EXPLAINED[name]
    given = {"about": about, **told}
    return Finding(
        id=name,
        level=level,
        about=about,
        what=what.format(**given),
        why=why.format(**given),
        mend=mend.format(**given),
    )


def code_of(text: str) -> str:
    """A cloud's code, or a word for one that is none."""
    return text if _CODE.fullmatch(text) else "UnreadableCode"


def of_account(seen: AccountSeen) -> Iterator[Finding]:
    """What is wrong with one account B."""
    if seen.enters != PASSED:
        yield _entrance(seen)
        return
    for which, name in _OPEN.items():
        code = seen.entrances.get(which)
        if code == PASSED:
            yield finding(name, seen.uid)
        elif code is not None and code not in NOT_TRUSTED:
            yield finding("trust_not_asked", seen.uid, code=code_of(code))
    yield from _tries(seen)
    for region, code in sorted(seen.regions.items()):
        if code in _NO_REGION:
            yield finding("region_unreachable", seen.uid, region=region, code=code)
        elif code != PASSED and not is_denied(code):
            yield finding("region_not_asked", seen.uid, region=region, code=code_of(code))
    yield from _vbr(seen)


def _entrance(seen: AccountSeen) -> Finding:
    if seen.enters == "EntityNotExist.Role":
        return finding("role_missing", seen.uid)
    if seen.enters in NOT_TRUSTED:
        return finding("role_not_trusting", seen.uid, code=seen.enters)
    return finding("account_not_asked", seen.uid, code=code_of(seen.enters))


def _tries(seen: AccountSeen) -> Iterator[Finding]:
    """A refusal for want of permission is one; an answer about the instance says that it is had."""
    for (kind, purpose), code in sorted(seen.tries.items()):
        words = {"kind": kind, "code": code_of(code)}
        if code in NOT_TRUSTED or is_denied(code):
            yield finding(f"{purpose}_denied", seen.uid, **words)
        elif code in _NO_SUCH_ECR:
            yield finding("ecr_refused", seen.uid, **words)
        elif not _is_past_permission(code):
            yield finding("permission_not_asked", seen.uid, purpose=purpose, **words)


def _is_past_permission(code: str) -> bool:
    """The call was let through, and refused for what it was about: the instance is made up."""
    about_it = ("IllegalParam", "OperationFailed.", "OperationDenied.", "Conflict.")
    return code == PASSED or code.startswith(about_it) or "NotFound" in code or code in _NO_REGION


def _vbr(seen: AccountSeen) -> Iterator[Finding]:
    if seen.vbr is None:
        return
    vbr_id, code = seen.vbr
    if code in _VBR_REFUSED and seen.has_vbr:
        yield finding("vbr_not_enabled", seen.uid, vbr=vbr_id, code=code)
    elif code == PASSED and not seen.has_vbr:
        yield finding("vbr_not_registered", seen.uid, vbr=vbr_id)


def of_clock(seconds: float) -> Iterator[Finding]:
    """The function's clock is so many seconds ahead of the cloud's."""
    if abs(seconds) > SKEW_SECONDS:
        yield finding("clock_skewed", "ecr-authorize", seconds=round(seconds))


def of_subscription(
    name: str, wanted: Mapping[str, str], shown: Mapping[str, str]
) -> Iterator[Finding]:
    """What a subscription of the topic is to be, and what it is."""
    for key, value in wanted.items():
        if shown.get(key, "") != value:
            told = {"key": key, "wanted": value or "(empty)", "shown": shown.get(key) or "(empty)"}
            yield finding("subscription_wrong", name, **told)
