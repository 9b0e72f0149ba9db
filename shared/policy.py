"""May this request be? Each refusal has a stable code, a sentence and a remedy. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.contract import Problem

if TYPE_CHECKING:
    from datetime import datetime

    from shared.contract import Approval, AuthorizationId, Request
    from shared.registry import Account, Allowed, Ecr, Registry, Sender

_REGISTER: Final = "Have the network team add it to registry.yaml, then ask with a new request id."

REUSED: Final = Problem(
    code="request_id_reused",
    message="This request id was used before, for something else.",
    remedy="Ask with a new request id.",
)
VBR_STEPS: Final = (
    "Alibaba Cloud keeps VBRs of one account off the ECRs of another until it is asked: send the "
    "documentation that both accounts belong to one entity, have the customer manager enable "
    "cross-account use for the VBR's account, note the confirmation under cross_account_vbr in "
    "registry.yaml, and ask with a new request id."
)


def with_end(request: Request, registry: Registry, now: datetime) -> Request:
    """The request with the end that the registry gives to a lease whose ticket gives none."""
    if request.action != "grant" or request.expires_at is not None:
        return request
    ecr, account = _entries(request, registry)
    days = [one.default_lease_days for one in (ecr, account) if one and one.default_lease_days]
    if not days:
        return request
    return request.model_copy(update={"expires_at": now + timedelta(days=min(days))})


def refusal(
    request: Request,
    registry: Registry,
    now: datetime,
    *,
    is_known: bool = False,
    is_held: bool = False,
) -> Problem | None:
    """Why `request` may not be, or None where it may.

    Args:
        request: What is asked.
        registry: Who may ask for what.
        now: The time.
        is_known: The ledger knows the authorization: it may be revoked then, though it may no
            longer be given.
        is_held: A live lease holds it: one more lease only renews.
    """
    sent = sender_refusal(request, registry, now)
    if sent is not None:
        return sent
    if request.action == "revoke" and is_known:
        return _name_refusal(request, registry)
    return place_refusal(request, registry) or (
        None
        if request.action == "revoke"
        else _grant_refusal(request, registry, now, is_held=is_held)
    )


def place_refusal(of: AuthorizationId, registry: Registry) -> Problem | None:
    """Why the registry does not let this account have this ECR on this instance; None: it does."""
    return _name_refusal(of, registry) or _may_refusal(of, registry.accounts[of.instance_owner_uid])


def access_refusal(of: AuthorizationId, registry: Registry) -> Problem | None:
    """Why no access may be given now, whoever asked and whatever the ledger says; None: it may."""
    return place_refusal(of, registry) or _vbr_refusal(of, registry.accounts[of.instance_owner_uid])


def _name_refusal(of: AuthorizationId, registry: Registry) -> Problem | None:
    """The registry must name the ECR, its owner and the account."""
    ecr = registry.ecrs.get(of.ecr_id)
    if ecr is None:
        return _problem("ecr_unknown", f"{of.ecr_id} is not in the registry.", _REGISTER)
    if ecr.owner_uid != of.ecr_owner_uid:
        return _problem(
            "ecr_owner_mismatch",
            f"{of.ecr_id} does not belong to account {of.ecr_owner_uid}.",
            "Give the account that owns the ECR as ecr_owner_uid.",
        )
    if of.instance_owner_uid not in registry.accounts:
        return _problem(
            "account_unknown",
            f"Account {of.instance_owner_uid} is not in the registry.",
            _REGISTER,
        )
    return None


def sender_refusal(request: Request, registry: Registry, now: datetime) -> Problem | None:
    """What keeps the sender from asking for this: its scope, its callback, the ticket's approval.

    Who put the message on the queue itself names no sender: RAM has let them.
    """
    if request.sender is None:
        return None
    sender = registry.senders.get(request.sender)
    if sender is None:
        return _problem(
            "sender_unknown", f"Sender {request.sender} is not in the registry.", _REGISTER
        )
    if not sender.covers(request.instance_owner_uid, request.ecr_id):
        return _problem(
            "sender_not_allowed",
            f"Sender {request.sender} may not ask for account {request.instance_owner_uid} on "
            f"{request.ecr_id}.",
            _REGISTER,
        )
    return _callback_refusal(request, sender) or _approval_refusal(request, sender, now)


def _callback_refusal(request: Request, sender: Sender) -> Problem | None:
    if request.callback is None:
        return None
    host = request.callback.url.removeprefix("https://").partition("/")[0]
    if host in sender.callback_hosts:
        return None
    return _problem(
        "callback_not_allowed",
        f"Answers of sender {request.sender} are not written to {host}.",
        "Have the network team add the host to the sender's callback_hosts in registry.yaml.",
    )


def _approval_refusal(request: Request, sender: Sender, now: datetime) -> Problem | None:
    """A revoke takes access away: it waits for nobody's approval."""
    requires, approval = sender.requires, request.approval
    if request.action == "revoke":
        return None
    by = {name.casefold() for name in approval.by} if approval else set()
    requester = request.requester.casefold() if request.requester else None
    if requires.approval and (approval is None or approval.state != "approved"):
        state = approval.state if approval else "not told"
        return _problem(
            "not_approved",
            f"The ticket's approval is {state}.",
            "Have the ticket approved, then ask with a new request id.",
        )
    if requires.another_approver and (requester is None or not by - {requester}):
        return _problem(
            "approver_is_requester",
            "Nobody but the requester has approved the ticket.",
            "Have somebody else approve it, then ask with a new request id.",
        )
    if requires.open_window and not _is_open(approval, now):
        return _problem(
            "window_closed",
            "The ticket's change window is not open.",
            "Ask with a new request id while the window is open.",
        )
    return None


def _is_open(approval: Approval | None, now: datetime) -> bool:
    if approval is None or approval.window_since is None or approval.window_until is None:
        return False
    return approval.window_since <= now < approval.window_until


def _may_refusal(request: AuthorizationId, account: Account) -> Problem | None:
    """The ECR, the region and the instance must be ones that the account may ask for."""
    if request.instance_owner_uid == request.ecr_owner_uid:
        return _problem(
            "same_account",
            "The instance and the ECR belong to one account: there is nothing to authorise.",
            "Attach the instance to the ECR directly.",
        )
    allowed = next((entry for entry in account.may if entry.ecr_id == request.ecr_id), None)
    if allowed is None:
        return _problem(
            "ecr_not_allowed",
            f"Account {request.instance_owner_uid} may not ask for {request.ecr_id}.",
            _REGISTER,
        )
    return _instance_refusal(request, allowed)


def _grant_refusal(
    request: Request, registry: Registry, now: datetime, *, is_held: bool
) -> Problem | None:
    freeze = registry.frozen(now)
    if freeze is not None and not is_held:
        return _problem(
            "frozen",
            f"No new access is given until {freeze.until.isoformat()}: {freeze.reason}.",
            "Ask with a new request id when the freeze is over. Renewals are taken meanwhile.",
        )
    account = registry.accounts[request.instance_owner_uid]
    return _vbr_refusal(request, account) or _expiry_refusal(request, registry, now)


def _entries(request: Request, registry: Registry) -> tuple[Ecr | None, Account | None]:
    return registry.ecrs.get(request.ecr_id), registry.accounts.get(request.instance_owner_uid)


def _instance_refusal(request: AuthorizationId, allowed: Allowed) -> Problem | None:
    if request.instance_region_id not in allowed.regions:
        return _problem(
            "region_not_allowed",
            f"{request.instance_region_id} is not a region that the account may ask for on "
            f"{request.ecr_id} ({', '.join(allowed.regions)}).",
            _REGISTER,
        )
    if allowed.instances is not None and request.instance_id not in allowed.instances:
        return _problem(
            "instance_not_allowed",
            f"{request.instance_id} is not an instance that the account may ask for on "
            f"{request.ecr_id}.",
            _REGISTER,
        )
    return None


def _vbr_refusal(request: AuthorizationId, account: Account) -> Problem | None:
    if request.instance_type == "VBR" and account.cross_account_vbr is None:
        return _problem(
            "vbr_not_enabled",
            f"Account {request.instance_owner_uid} is not enabled for cross-account VBRs.",
            VBR_STEPS,
        )
    return None


def _expiry_refusal(request: Request, registry: Registry, now: datetime) -> Problem | None:
    if request.expires_at is not None and request.expires_at <= now:
        return _problem(
            "expiry_in_the_past",
            "expires_at is already over.",
            "Ask with a later expires_at and a new request id.",
        )
    given = [one.longest_lease_days for one in _entries(request, registry) if one]
    longest = min((days for days in given if days is not None), default=None)
    if longest is None:
        return None
    if request.expires_at is None or request.expires_at - now > timedelta(days=longest):
        return _problem(
            "lease_too_long",
            f"A lease of account {request.instance_owner_uid} on {request.ecr_id} may last "
            f"{longest} days at most.",
            f"Ask with an expires_at within {longest} days and a new request id.",
        )
    return None


def _problem(code: str, message: str, remedy: str) -> Problem:
    return Problem(code=code, message=message, remedy=remedy)
