"""Credentials for account B: STS AssumeRole, narrowed to one action on one instance.

Source: AssumeRole of STS 2015-04-01. The role and the ExternalId come from the registry, never
from a message; without a session policy no role is assumed.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from alibabacloud_sts20150401.client import Client
from alibabacloud_sts20150401.models import AssumeRoleRequest
from pydantic import SecretStr

from shared.cloud import sdk
from shared.cloud.credentials import Credentials
from shared.cloud.errors import OutcomeUnknown, Refused
from shared.cloud.times import readable_time
from shared.lines import one_line
from shared.log import mask_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.contract import AuthorizationId

Purpose = Literal["grant", "revoke", "look"]

POLICY_LIMIT: Final = 2048
SESSION_SECONDS: Final = 900
_REUSE_UNTIL: Final = timedelta(seconds=60)
_CACHE_SIZE: Final = 512
# What STS answers where a trust policy does not let the caller in, an ExternalId at fault included.
NOT_TRUSTED: Final = frozenset({"NoPermission", "InvalidParameter.ExternalId"})
_SHOWN_CHARACTERS: Final = 100
_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9.@_-]")
_ACTIONS: Final[dict[Purpose, dict[str, str]]] = {
    "grant": dict.fromkeys(
        ("VPC", "VBR"), "expressconnectrouter:GrantInstanceToExpressConnectRouter"
    ),
    "revoke": dict.fromkeys(
        ("VPC", "VBR"), "expressconnectrouter:RevokeInstanceFromExpressConnectRouter"
    ),
    "look": {"VPC": "vpc:DescribeVpcGrantRulesToEcr", "VBR": "vpc:DescribeGrantRulesToEcr"},
}


def session_policy(authorization: AuthorizationId, purpose: Purpose) -> str:
    """The narrowest policy for one purpose: one action on the one instance. Pure.

    A VBR is named in both of its documented ARN forms: `acs:expressconnect:` and `acs:vpc:`.

    Raises:
        ValueError: It would be longer than STS takes.
    """
    return joint_policy((authorization,), purpose)


def joint_policy(authorizations: Iterable[AuthorizationId], purpose: Purpose) -> str:
    """The statements of several in one policy: for trying what does not exist, never for the work.

    Raises:
        ValueError: It would be longer than STS takes.
    """
    statements = [_statement(one, purpose) for one in authorizations]
    policy = json.dumps({"Version": "1", "Statement": statements}, separators=(",", ":"))
    if len(policy) > POLICY_LIMIT:
        raise ValueError(f"the session policy has {len(policy)} characters of {POLICY_LIMIT}")
    return policy


def _statement(authorization: AuthorizationId, purpose: Purpose) -> dict[str, object]:
    place = f"{authorization.instance_region_id}:{authorization.instance_owner_uid}"
    instance = authorization.instance_id
    resources = (
        [f"acs:vpc:{place}:vpc/{instance}"]
        if authorization.instance_type == "VPC"
        else [
            f"acs:expressconnect:{place}:virtualborderrouter/{instance}",
            f"acs:vpc:{place}:virtualborderrouter/{instance}",
        ]
    )
    return {
        "Effect": "Allow",
        "Action": _ACTIONS[purpose][authorization.instance_type],
        "Resource": resources,
    }


def session_name(function: str, ticket: str) -> str:
    """Who acts and for which ticket, as account B's audit log will show it. Pure."""
    return _NOT_A_NAME.sub("-", f"{function}-{ticket}")[:64]


@dataclass(frozen=True)
class Role:
    """A role of account B and the ExternalId that its trust policy asks for.

    While keys are rotated it may be either of two: `external_id_next` is that of the other key.
    """

    arn: str
    external_id: SecretStr
    external_id_next: SecretStr | None = None

    @property
    def account_uid(self) -> str:
        """The account that the role belongs to."""
        return self.arn.split(":")[3]


@dataclass(frozen=True)
class Introduced:
    """Whose credentials these are, and the cloud's time, to the second."""

    account_uid: str
    at: datetime


class Sessions:
    """Assumes roles as the function's own role; keeps what it got until shortly before its end.

    Args:
        credentials: The function's own, asked for anew at each call.
        endpoint: STS's URL.
        region: The function's region.
        now: The clock, UTC.
    """

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        endpoint: str,
        region: str,
        now: Callable[[], datetime],
    ) -> None:
        self._credentials = credentials
        self._endpoint = endpoint
        self._region = region
        self._now = now
        self._kept: dict[tuple[str, str, str], tuple[datetime, Credentials]] = {}
        self._trusts_next: set[str] = set()
        self.asked = 0
        """How often STS was asked for a role, whatever it answered."""
        self._lock = threading.Lock()

    def assume(self, role: Role, policy: str, name: str) -> Credentials:
        """Credentials of `role` that can do what `policy` allows and no more.

        They are reused only for the same role, policy and session name.

        Raises:
            CloudFailure: The role cannot be assumed.
            ValueError: No policy was given.
        """
        if not policy:
            raise ValueError("no role is assumed without a session policy")
        key = (role.arn, policy, name)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and self._now() < kept[0] - _REUSE_UNTIL:
            return kept[1]
        until, credentials = self._assumed(role, policy, name)
        with self._lock:
            while len(self._kept) >= _CACHE_SIZE:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = (until, credentials)
        return credentials

    def introduced(self) -> Introduced:
        """Who STS takes us for, and what time it has (GetCallerIdentity). Raises CloudFailure."""
        client = Client(sdk.config(self._credentials(), self._endpoint, self._region))
        told: list[str] = []

        def asked(_: Any, options: Any) -> Any:
            answer = client.get_caller_identity_with_options(options)
            told.append(str({**(answer.headers or {})}.get("date", "")))
            return answer

        body = sdk.call(asked, None)
        try:
            at = parsedate_to_datetime(told[0])
        except (TypeError, ValueError):
            raise OutcomeUnknown("UnreadableTime", "the answer has no date") from None
        return Introduced(str(body.account_id), at.replace(tzinfo=at.tzinfo or timezone.utc))

    def _assumed(self, role: Role, policy: str, name: str) -> tuple[datetime, Credentials]:
        """By the ExternalId that worked last, and by the other one where that is not trusted."""
        if role.external_id_next is None:
            return self._asked(role, role.external_id, policy, name)
        order = [(role.external_id, False), (role.external_id_next, True)]
        if role.arn in self._trusts_next:
            order.reverse()
        try:
            return self._asked(role, order[0][0], policy, name)
        except Refused as refused:
            if refused.cloud_code not in NOT_TRUSTED:
                raise
            first = refused
        try:
            answer = self._asked(role, order[1][0], policy, name)
        except Refused as refused:
            raise first if refused.cloud_code in NOT_TRUSTED else refused from None
        with self._lock:
            (self._trusts_next.add if order[1][1] else self._trusts_next.discard)(role.arn)
        return answer

    def _asked(
        self, role: Role, external_id: SecretStr, policy: str, name: str
    ) -> tuple[datetime, Credentials]:
        with self._lock:
            self.asked += 1
        client = Client(sdk.config(self._credentials(), self._endpoint, self._region))
        request = AssumeRoleRequest(
            role_arn=role.arn,
            role_session_name=name,
            external_id=external_id.get_secret_value() or None,
            policy=policy,
            duration_seconds=SESSION_SECONDS,
        )
        return _checked(sdk.call(client.assume_role_with_options, request), role)


def _checked(body: Any, role: Role) -> tuple[datetime, Credentials]:
    given, user = body.credentials, body.assumed_role_user
    if given is None or user is None or not given.access_key_id or not given.access_key_secret:
        raise OutcomeUnknown("EmptyAnswer", "AssumeRole gave no credentials")
    keys = (given.access_key_id, given.access_key_secret, given.security_token or "")
    if not all(isinstance(one, str) for one in keys):
        raise OutcomeUnknown("UnreadableAnswer", "AssumeRole gave what are no credentials")
    if not str(user.arn).startswith(f"acs:ram::{role.account_uid}:"):
        arn = one_line(user.arn, _SHOWN_CHARACTERS)
        raise Refused("WrongAccount", f"AssumeRole answered for {arn}", status=200)
    mask_value(given.access_key_secret)
    mask_value(given.security_token or "")
    until = readable_time(given.expiration)
    if until is None:
        raise OutcomeUnknown("UnreadableTime", "the credentials' end cannot be read")
    return until, Credentials(
        access_key_id=given.access_key_id,
        access_key_secret=SecretStr(given.access_key_secret),
        security_token=SecretStr(given.security_token or ""),
    )
