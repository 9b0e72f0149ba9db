"""The heart: what is wanted and what is there, in; the one next step, out. Pure.

    wanted   grant: absent -GRANT-> present        association: absent -ASSOCIATE-> active
    unwanted association: active -DISSOCIATE-> absent        grant: present -REVOKE-> absent

Detach always comes before revoke. What is not known is looked at; what is on its way is awaited.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from shared.authorization import AssociationState, GrantState

Worker = Literal["authorize", "attach"]


class Step(Enum):
    """One step towards what is wanted; `worker` is the function whose role may take it."""

    GRANT = "grant"
    REVOKE = "revoke"
    LOOK_AT_GRANT = "look_at_grant"
    AWAIT_GRANT = "await_grant"
    ASSOCIATE = "associate"
    DISSOCIATE = "dissociate"
    LOOK_AT_ASSOCIATION = "look_at_association"
    AWAIT_ASSOCIATION = "await_association"
    AWAIT_DETACH_BY_HAND = "await_detach_by_hand"
    DONE = "done"

    @property
    def worker(self) -> Worker:
        """Who may: authorize acts in account B, attach in account A."""
        return "authorize" if self in _IN_ACCOUNT_B else "attach"

    @property
    def has_effect(self) -> bool:
        """The step changes the cloud, so the intent to take it is recorded first."""
        return self in EFFECTS


_IN_ACCOUNT_B: Final = frozenset({Step.GRANT, Step.REVOKE, Step.LOOK_AT_GRANT, Step.AWAIT_GRANT})
EFFECTS: Final = frozenset({Step.GRANT, Step.REVOKE, Step.ASSOCIATE, Step.DISSOCIATE})
WAITS: Final = frozenset({Step.AWAIT_GRANT, Step.AWAIT_ASSOCIATION, Step.AWAIT_DETACH_BY_HAND})


@dataclass(frozen=True)
class Wanted:
    """What the live leases ask for.

    Args:
        granted: At least one lease is live.
        attached: At least one live lease asks account A to attach.
        left_to_hand: Where nothing is wanted: account A's people detach, we wait for them.
    """

    granted: bool
    attached: bool = False
    left_to_hand: bool = False


@dataclass(frozen=True)
class Seen:
    """What the ledger knows of both accounts."""

    grant: GrantState
    association: AssociationState


def converge(wanted: Wanted, seen: Seen) -> Step:
    """The next step from what is seen to what is wanted."""
    if wanted.granted:
        return _towards_access(wanted, seen)
    return _towards_no_access(wanted, seen)


def _towards_access(wanted: Wanted, seen: Seen) -> Step:
    if seen.grant != "present":
        return {
            "absent": Step.GRANT,
            "unknown": Step.LOOK_AT_GRANT,
            "settling": Step.AWAIT_GRANT,
        }[seen.grant]
    if not wanted.attached:
        return Step.DONE
    return {
        "absent": Step.ASSOCIATE,
        "unknown": Step.LOOK_AT_ASSOCIATION,
        "creating": Step.AWAIT_ASSOCIATION,
        "deleting": Step.AWAIT_ASSOCIATION,
        "doubled": Step.DISSOCIATE,
        "active": Step.DONE,
    }[seen.association]


def _towards_no_access(wanted: Wanted, seen: Seen) -> Step:
    if seen.association != "absent":
        return {
            "unknown": Step.LOOK_AT_ASSOCIATION,
            "creating": Step.AWAIT_ASSOCIATION,
            "deleting": Step.AWAIT_ASSOCIATION,
            "doubled": Step.AWAIT_DETACH_BY_HAND if wanted.left_to_hand else Step.DISSOCIATE,
            "active": Step.AWAIT_DETACH_BY_HAND if wanted.left_to_hand else Step.DISSOCIATE,
        }[seen.association]
    return {
        "absent": Step.DONE,
        "unknown": Step.LOOK_AT_GRANT,
        "settling": Step.AWAIT_GRANT,
        "present": Step.REVOKE,
    }[seen.grant]
