"""The document of a request, from a file and options; pure but for the file."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ecrauth.exits import Exit, Failed

if TYPE_CHECKING:
    from datetime import datetime

    from shared.contract import Bundle, Request

_OPTIONS: Final = {
    "request_id": "--request-id",
    "ticket": "--ticket",
    "ecr_id": "--ecr",
    "ecr_owner_uid": "--ecr-owner",
    "instance_id": "--instance",
    "instance_type": "--instance",
    "instance_region_id": "--region",
    "instance_owner_uid": "--instance-owner",
    "expires_at": "--expires-at",
}
_INSTANCE: Final = ("instance_id", "instance_type", "instance_region_id", "instance_owner_uid")


@dataclass(frozen=True)
class Fields:
    """What the options say; None where one was left out."""

    request_id: str | None = None
    ticket: str | None = None
    requester: str | None = None
    reason: str | None = None
    ecr_id: str | None = None
    ecr_owner_uid: str | None = None
    instances: tuple[str, ...] = ()
    instance_region_id: str | None = None
    instance_owner_uid: str | None = None
    mode: str | None = None
    attach: bool | None = None
    expires_at: datetime | None = None
    lease: str | None = None
    approval: str | None = None
    approved_by: tuple[str, ...] = ()
    window_since: datetime | None = None
    window_until: datetime | None = None
    callback_url: str | None = None
    callback_system: str | None = None
    callback_language: str | None = None


def read(file: str) -> dict[str, Any]:
    """The JSON object in a file, or on the standard input (`-`). Raises Failed, BadMessage."""
    from shared.contract import read_object

    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Failed(f"{file} cannot be read ({error.strerror})") from None
    return read_object(raw)


def document(action: str, given: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """The request or bundle: what the file says, and above it what the options say.

    Raises:
        Failed: The file asks for something else.
    """
    if given.get("action", action) != action:
        what = f"the file asks for {given['action']!r:.20}"
        raise Failed(what, f"this is `request {action}`", Exit.USAGE)
    made = {**given, "action": action, **_plain(fields), **_parts(given, fields)}
    made.setdefault("request_id", made.get("ticket"))
    for name, built in (("approval", _approval(fields)), ("callback", _callback(fields))):
        if built:
            made[name] = {**(given.get(name) or {}), **built}
    return {name: value for name, value in made.items() if value is not None}


def own(fields: Fields) -> dict[str, Any]:
    """What a renewal or a cancellation says by itself; intake knows the rest."""
    made = {**_plain(fields), "approval": _approval(fields), "callback": _callback(fields)}
    made.setdefault("request_id", fields.ticket)
    return {name: value for name, value in made.items() if value and name != "lease"}


def again(known: Request | Bundle, what: str, fields: Fields) -> dict[str, Any]:
    """The request or bundle that renews (`renew`) or cancels (`cancel`) an earlier grant.

    Raises:
        Failed: The earlier one was no grant.
    """
    if known.action != "grant":
        raise Failed(f"{known.request_id} is no grant", f"only a grant can be asked to {what}")
    dropped = {"request_id", "approval", "callback", "sender", "part_of", "requested_at", "lease"}
    kept = known.model_dump(mode="json", exclude=dropped, exclude_none=True)
    made = {**kept, **own(fields)}
    if what == "cancel":
        for name in ("attach", "expires_at", "mode"):
            made.pop(name, None)
        made |= {"action": "revoke", "lease": known.request_id}
    checked(made)
    return made


def mapped(folder: str, name: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The request or bundle that a ticketing system's payload is.

    Args:
        folder: The mappings.
        name: The one of that system.
        payload: What it posts.

    Raises:
        Failed: There is no such mapping, or it makes no request of the payload: each field at
            fault, with its expression; what was found there is not repeated.
    """
    from shared import mapping
    from shared.contract import BadMessage

    try:
        found = mapping.load(Path(folder))
    except mapping.BadMapping as bad:
        raise Failed(bad, "set MAPPINGS_FOLDER to where the mappings are") from None
    asking = sorted(one.name for one in found.values() if one.asks is not None)
    if name not in asking:
        what = f"no mapping {name!r:.40} reads tickets"
        raise Failed(what, f"one of: {', '.join(asking)}", Exit.USAGE)
    try:
        return found[name].request(payload)
    except BadMessage as bad:
        raise Failed(bad, f"mend the ticket, or mappings/{name}.yaml") from None


def checked(made: dict[str, Any]) -> Request | Bundle:
    """The request or bundle that the document is.

    Raises:
        Failed: It is none; what is wrong is named as the options are.
    """
    from shared.contract import BadMessage, read_bundle, read_request

    try:
        return read_bundle(made) if "instances" in made else read_request(made)
    except BadMessage as bad:
        told = str(bad).replace("Field required", "is missing").replace("request: ", "")
        for name, option in _OPTIONS.items():
            told = told.replace(f"{name}:", f"{option}:")
        raise Failed(told, code=Exit.USAGE) from None


def dumped(made: dict[str, Any]) -> bytes:
    """The document as it is sent."""
    return json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(fields: Fields) -> dict[str, Any]:
    names = ("request_id", "ticket", "requester", "reason", "ecr_id", "ecr_owner_uid", "lease")
    found = {name: getattr(fields, name) for name in (*names, "attach")}
    found["expires_at"] = _moment(fields.expires_at)
    return {name: value for name, value in found.items() if value is not None}


def _parts(given: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """The instance, or the instances of a ticket for many, in one region of one account."""
    owner, region = fields.instance_owner_uid, fields.instance_region_id
    shared = {"instance_region_id": region, "instance_owner_uid": owner}
    known = {name: value for name, value in shared.items() if value is not None}
    if len(fields.instances) > 1 or (fields.instances and "instances" in given):
        parts = [_instance(one, known) for one in fields.instances]
        dropped = dict.fromkeys(_INSTANCE)
        return {**dropped, "instances": parts, **({"mode": fields.mode} if fields.mode else {})}
    if fields.instances:
        return _instance(fields.instances[0], known)
    return {**known, **({"mode": fields.mode} if fields.mode else {})}


def _instance(instance_id: str, known: dict[str, Any]) -> dict[str, Any]:
    kind = instance_id.partition("-")[0].upper()
    return {"instance_id": instance_id, "instance_type": kind, **known}


def _approval(fields: Fields) -> dict[str, Any]:
    found = {
        "state": fields.approval,
        "by": list(fields.approved_by) or None,
        "window_since": _moment(fields.window_since),
        "window_until": _moment(fields.window_until),
    }
    return {name: value for name, value in found.items() if value is not None}


def _callback(fields: Fields) -> dict[str, Any]:
    found = {
        "url": fields.callback_url,
        "system": fields.callback_system,
        "language": fields.callback_language,
    }
    return {name: value for name, value in found.items() if value is not None}


def _moment(at: datetime | None) -> str | None:
    """As it is written on the wire, with its offset; one without is meant on this machine."""
    return at.astimezone().isoformat() if at else None
