"""STS 2015-04-01: AssumeRole and GetCallerIdentity."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from localcloud import ram
from localcloud.call import Call, CloudError, Operation, Product
from localcloud.clock import iso

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

_ROLE_ARN: Final = re.compile(r"acs:ram::[0-9]{16}:role/[A-Za-z0-9._-]{1,64}")
_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_POLICY_LIMIT: Final = 2048
_SHORTEST: Final = 900


def product(cloud: Cloud) -> Product:
    """STS as the wire dispatches to it."""
    return Product(
        code="sts",
        version="2015-04-01",
        operations={
            "AssumeRole": Operation(
                answer=lambda call: _assume_role(cloud, call),
                resources=lambda call: [call.params.get("RoleArn", "")],
                context=_context,
            ),
            "GetCallerIdentity": Operation(
                answer=_caller_identity, resources=lambda _: [], needs_permission=False
            ),
        },
    )


def _context(call: Call) -> dict[str, str]:
    given = call.params.get("ExternalId")
    return {"sts:ExternalId": given} if given else {}


def _assume_role(cloud: Cloud, call: Call) -> dict[str, Any]:
    arn, name, seconds, policy = _checked(call)
    if call.caller.identity == "root":
        raise CloudError(403, "NoPermission", "Roles may not be assumed by root accounts.")
    role = cloud.identity.role(arn)
    if role is None:
        raise CloudError(404, "EntityNotExist.Role", "The specified Role not exists .")
    if seconds > role.max_session_seconds:
        raise _bad("DurationSeconds", "The Min/Max value of DurationSeconds is 15min/1hr.")
    principal = {
        "RAM": call.caller.arn.rsplit("/", 1)[0]
        if call.caller.identity == "role"
        else call.caller.arn,
        "account": call.caller.account_uid,
    }
    context = _context(call)
    if not ram.trusts(role.trust, principal, context):
        _refuse(cloud, role.trust, principal)
    session = cloud.identity.issue(arn, name, seconds, policy)
    role_id = f"3{abs(hash(arn)) % 10**16:016d}"
    return {
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role_id}:{name}",
            "Arn": session.caller.arn,
        },
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "AccessKeySecret": session.secret,
            "SecurityToken": session.token,
            "Expiration": iso(session.expires_at),
        },
    }


def _refuse(cloud: Cloud, trust: Any, principal: dict[str, str]) -> None:
    """The caller is not trusted; by the switch, an ExternalId at fault has a code of its own."""
    code = cloud.behaviour.switches.external_id_refusal
    text = json.dumps(trust)
    if code != "NoPermission" and "sts:ExternalId" in text and principal["RAM"] in text:
        raise CloudError(400, code, "The parameter ExternalId is missing or wrong.")
    raise CloudError(
        403,
        "NoPermission",
        "You are not authorized to do this action. You should be authorized by RAM.",
    )


def _checked(call: Call) -> tuple[str, str, int, dict[str, Any] | None]:
    params = call.params
    arn, name = params.get("RoleArn", ""), params.get("RoleSessionName", "")
    if not _ROLE_ARN.fullmatch(arn):
        raise _bad("RoleArn", "The parameter RoleArn is wrongly formed.")
    if not _SESSION_NAME.fullmatch(name):
        raise _bad("RoleSessionName", "The parameter RoleSessionName is wrongly formed.")
    external_id = params.get("ExternalId")
    if external_id is not None and not _EXTERNAL_ID.fullmatch(external_id):
        raise _bad("ExternalId", "The parameter ExternalId is wrongly formed.")
    duration = params.get("DurationSeconds", "3600")
    if not duration.isdigit() or int(duration) < _SHORTEST:
        raise _bad("DurationSeconds", "The Min/Max value of DurationSeconds is 15min/1hr.")
    return arn, name, int(duration), _policy(params.get("Policy"))


def _policy(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    if not 1 <= len(text.encode()) <= _POLICY_LIMIT:
        raise _bad("PolicySize", "The size of Policy must be less than 2048 bytes.")
    try:
        policy = json.loads(text)
        ram.check(policy)
    except (ValueError, RecursionError):
        raise _bad("PolicyGrammar", "The parameter Policy has not passed grammar check.") from None
    return dict(policy)


def _bad(name: str, message: str) -> CloudError:
    return CloudError(400, f"InvalidParameter.{name}", message)


def _caller_identity(call: Call) -> dict[str, Any]:
    caller = call.caller
    kinds = {"user": "RAMUser", "role": "AssumedRoleUser", "root": "Account"}
    return {
        "AccountId": caller.account_uid,
        "Arn": caller.arn,
        "IdentityType": kinds[caller.identity],
        "PrincipalId": caller.access_key_id,
    }
