"""`ecrauth request`: ask for a grant, a revoke, a renewal; by intake or straight onto the queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from ecrauth import asking, reach, screen
from ecrauth.asking import Fields
from ecrauth.commands import options as given
from ecrauth.commands.reading import await_answer
from ecrauth.exits import Exit, Failed
from ecrauth.settings import of

if TYPE_CHECKING:
    from ecrauth.settings import Settings

app = typer.Typer(
    help="Ask for a grant, a revoke, a renewal. Through intake (ECRAUTH_URL, signed with "
    "ECRAUTH_SECRET), or with --queue straight onto the request queue.",
    no_args_is_help=True,
)


@dataclass(frozen=True)
class Way:
    """How it is sent, and what is printed then."""

    straight: bool
    sender: str | None
    wait: bool
    timeout: float
    as_json: bool


@app.command("grant")
def grant(  # noqa: PLR0913 -- each is an option
    context: typer.Context,
    file: given.File = None,
    mapping: given.Mapping = None,
    ticket: given.Ticket = None,
    request_id: given.RequestId = None,
    ecr: given.Ecr = None,
    ecr_owner: given.EcrOwner = None,
    instance: given.Instances = None,
    region: given.Region = None,
    instance_owner: given.InstanceOwner = None,
    mode: given.Mode = None,
    attach: given.Attach = None,
    expires_at: given.ExpiresAt = None,
    requester: given.Requester = None,
    reason: given.Reason = None,
    approval: given.Approval = None,
    approved_by: given.ApprovedBy = None,
    window_since: given.WindowSince = None,
    window_until: given.WindowUntil = None,
    callback_url: given.CallbackUrl = None,
    callback_system: given.CallbackSystem = None,
    callback_language: given.CallbackLanguage = None,
    queue: given.Straight = False,
    sender: given.Sender = None,
    wait: given.Wait = False,
    timeout: given.Timeout = given.SECONDS,
    as_json: given.Json = False,
) -> None:
    """Ask that an ECR may attach instances of another account, and that it does.

    Example: ecrauth request grant --ticket CHG-1001 --ecr ecr-hz7core4qk2m1 --ecr-owner
    1000200030004000 --instance vpc-bp1payments0main --region cn-hangzhou --instance-owner
    2000300040005000 --wait
    """
    fields = Fields(
        request_id=request_id,
        ticket=ticket,
        requester=requester,
        reason=reason,
        ecr_id=ecr,
        ecr_owner_uid=ecr_owner,
        instances=tuple(instance or ()),
        instance_region_id=region,
        instance_owner_uid=instance_owner,
        mode=mode,
        attach=attach,
        expires_at=expires_at,
        approval=approval,
        approved_by=tuple(approved_by or ()),
        window_since=window_since,
        window_until=window_until,
        callback_url=callback_url,
        callback_system=callback_system,
        callback_language=callback_language,
    )
    _ask(of(context), "grant", file, mapping, fields, Way(queue, sender, wait, timeout, as_json))


@app.command("revoke")
def revoke(  # noqa: PLR0913 -- each is an option
    context: typer.Context,
    lease: given.Lease = None,
    file: given.File = None,
    mapping: given.Mapping = None,
    ticket: given.Ticket = None,
    request_id: given.RequestId = None,
    ecr: given.Ecr = None,
    ecr_owner: given.EcrOwner = None,
    instance: given.Instances = None,
    region: given.Region = None,
    instance_owner: given.InstanceOwner = None,
    requester: given.Requester = None,
    reason: given.Reason = None,
    approval: given.Approval = None,
    approved_by: given.ApprovedBy = None,
    window_since: given.WindowSince = None,
    window_until: given.WindowUntil = None,
    callback_url: given.CallbackUrl = None,
    callback_system: given.CallbackSystem = None,
    callback_language: given.CallbackLanguage = None,
    queue: given.Straight = False,
    sender: given.Sender = None,
    wait: given.Wait = False,
    timeout: given.Timeout = given.SECONDS,
    as_json: given.Json = False,
) -> None:
    """Ask that a lease ends; access is taken away once no other lease holds it.

    The grant's request id is enough. Where an instance is named instead, `all` ends each lease.

    Example: ecrauth request revoke CHG-1001 --ticket CHG-1008 --wait
    """
    fields = Fields(
        request_id=request_id,
        ticket=ticket,
        requester=requester,
        reason=reason,
        ecr_id=ecr,
        ecr_owner_uid=ecr_owner,
        instances=tuple(instance or ()),
        instance_region_id=region,
        instance_owner_uid=instance_owner,
        lease=lease,
        approval=approval,
        approved_by=tuple(approved_by or ()),
        window_since=window_since,
        window_until=window_until,
        callback_url=callback_url,
        callback_system=callback_system,
        callback_language=callback_language,
    )
    way = Way(queue, sender, wait, timeout, as_json)
    if lease and not (file or instance or mapping):
        _ask_again(of(context), "cancel", lease, fields, way)
    else:
        _ask(of(context), "revoke", file, mapping, fields, way)


@app.command("renew")
def renew(  # noqa: PLR0913 -- each is an option
    context: typer.Context,
    lease: given.Renewed,
    expires_at: given.ExpiresAt = None,
    ticket: given.Ticket = None,
    request_id: given.RequestId = None,
    requester: given.Requester = None,
    reason: given.Reason = None,
    approval: given.Approval = None,
    approved_by: given.ApprovedBy = None,
    window_since: given.WindowSince = None,
    window_until: given.WindowUntil = None,
    callback_url: given.CallbackUrl = None,
    callback_system: given.CallbackSystem = None,
    callback_language: given.CallbackLanguage = None,
    queue: given.Straight = False,
    sender: given.Sender = None,
    wait: given.Wait = False,
    timeout: given.Timeout = given.SECONDS,
    as_json: given.Json = False,
) -> None:
    """Ask that what was granted stays for longer: a new lease, until --expires-at.

    Example: ecrauth request renew CHG-1001 --ticket CHG-1042 --expires-at 2027-03-01 --wait
    """
    if expires_at is None:
        raise Failed("a renewal says until when", "give --expires-at", Exit.USAGE)
    fields = Fields(
        request_id=request_id,
        ticket=ticket,
        requester=requester,
        reason=reason,
        expires_at=expires_at,
        approval=approval,
        approved_by=tuple(approved_by or ()),
        window_since=window_since,
        window_until=window_until,
        callback_url=callback_url,
        callback_system=callback_system,
        callback_language=callback_language,
    )
    _ask_again(of(context), "renew", lease, fields, Way(queue, sender, wait, timeout, as_json))


def _ask(  # noqa: PLR0913 -- what was typed
    settings: Settings,
    action: str,
    file: str | None,
    mapping: str | None,
    fields: Fields,
    way: Way,
) -> None:
    """Send what a file and options say, after a look at it here."""
    if mapping and (not file or fields != Fields()):
        what = "--mapping reads a whole ticket, which no option changes"
        raise Failed(what, "give it with --file and without them", Exit.USAGE)
    payload = asking.read(file) if file else {}
    if mapping:
        mapped = asking.mapped(settings.get("MAPPINGS_FOLDER"), mapping, payload)
        if mapped.get("action") != action:
            what = f"the payload asks for {mapped.get('action')!r:.20}"
            raise Failed(what, f"this is `request {action}`", Exit.USAGE)
        asked = asking.checked(mapped)
        # Intake maps what its sender posts by itself: it is given what the system would give.
        made = mapped if way.straight else payload
    else:
        made = asking.document(action, payload, fields)
        asked = asking.checked(made)
    _sent(settings, "/requests", made, asked.request_id, way)


def _ask_again(settings: Settings, what: str, lease: str, fields: Fields, way: Way) -> None:
    """Renew or cancel what another request has granted; only its id is needed."""
    if not (fields.request_id or fields.ticket):
        raise Failed(f"a request to {what} has an id of its own", "give --ticket", Exit.USAGE)
    if way.straight:
        with reach.ledger(settings) as ledger:
            known = ledger.request(lease)
        if known is None:
            raise Failed(f"the ledger has no request {lease}", code=Exit.UNKNOWN)
        made = asking.again(known.request, what, fields)
    else:
        made = asking.own(fields)
    request_id = str(made["request_id"])
    _sent(settings, f"/requests/{lease}/{what}", made, request_id, way)


def _sent(settings: Settings, path: str, made: dict[str, Any], request_id: str, way: Way) -> None:
    body = asking.dumped(_in_the_name_of(way, made))
    if way.straight:
        queue = settings.get("REQUEST_QUEUE")
        message_id = reach.messages(settings).send(queue, body.decode())
        answer = {"request_id": request_id, "queue": queue, "message_id": message_id}
        told = f"{request_id} is on the queue {queue}"
    else:
        from ecrauth.door import Door

        if not settings.get("ECRAUTH_URL"):
            what = "set it to where intake is reached, or give --queue for the request queue itself"
            raise Failed("ECRAUTH_URL is not set", what)
        answer = Door(settings).post(path, body)
        told = f"{answer.get('request_id', request_id)} is taken"
    if way.wait:
        await_answer(settings, request_id, way.timeout, as_json=way.as_json)
    elif way.as_json:
        screen.as_json(answer)
    else:
        screen.line(f"{told}; follow it with: ecrauth wait {request_id}")


def _in_the_name_of(way: Way, made: dict[str, Any]) -> dict[str, Any]:
    """What is sent, with its sender: intake knows it by the signature, the queue by this word."""
    if way.sender and not way.straight:
        raise Failed("--sender is for --queue", "intake knows who signs", Exit.USAGE)
    if way.straight and "callback" in made and not way.sender:
        what = "a callback is answered to a sender of registry.yaml alone"
        raise Failed(what, "give --sender", Exit.USAGE)
    return {**made, "sender": way.sender} if way.sender else made
