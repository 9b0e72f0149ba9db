"""Access keys and STS sessions: who signed a call, and what RAM lets them do."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from localcloud import ram
from localcloud.call import Caller, CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.cloud import Cloud
    from localcloud.world import Role

_MAX_SESSIONS = 100_000


@dataclass(frozen=True)
class Session:
    """Credentials that STS has issued.

    Args:
        access_key_id: `STS.…`.
        secret: What signs.
        token: What goes with each request.
        expires_at: Epoch seconds.
        caller: Who the session is.
    """

    access_key_id: str
    secret: str
    token: str
    expires_at: float
    caller: Caller


class Identity:
    """All keys of a world; issues sessions for its roles."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._sessions: dict[str, Session] = {}
        self._root_secret = secrets.token_bytes(32)

    def caller(self, access_key_id: str, token: str | None) -> tuple[Caller, str]:
        """Who the key belongs to, and the secret that its signature must be made with.

        Raises:
            CloudError: No such key, or its token is missing, another's, or over.
        """
        if access_key_id.startswith("STS."):
            session = self._session(access_key_id, token)
            return session.caller, session.secret
        if token:
            raise CloudError(
                403, "InvalidSecurityToken.MismatchWithAccessKey", "The token is of another key."
            )
        for account in self._cloud.world.accounts:
            if access_key_id == self.root_key(account.uid)[0]:
                arn = f"acs:ram::{account.uid}:root"
                caller = Caller(account.uid, arn, "root", access_key_id)
                return caller, self.root_key(account.uid)[1]
            for user in account.users:
                for key in user.access_keys:
                    if key.id == access_key_id:
                        arn = f"acs:ram::{account.uid}:user/{user.name}"
                        policies = tuple(user.policies)
                        return Caller(account.uid, arn, "user", key.id, policies), key.secret
        raise CloudError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")

    def account_of(self, access_key_id: str) -> str | None:
        """The account of a key, for faults and the journal; nothing is verified."""
        try:
            session = self._sessions.get(access_key_id)
            return (
                session.caller.account_uid
                if session
                else self.caller(access_key_id, None)[0].account_uid
            )
        except CloudError:
            return None

    def root_key(self, account_uid: str) -> tuple[str, str]:
        """The key of the account itself, made anew for each world."""
        digest = hmac.new(self._root_secret, account_uid.encode(), hashlib.sha256).hexdigest()
        return f"LTAI-root-{account_uid}", digest

    def role(self, role_arn: str) -> Role | None:
        """The role with this ARN (names compare without case), or None."""
        parts = role_arn.split(":", 4)
        if len(parts) != 5 or not parts[4].startswith("role/"):  # noqa: PLR2004 -- acs:ram::uid:role/name
            return None
        account = self._cloud.world.account(parts[3])
        name = parts[4].removeprefix("role/").lower()
        roles = account.roles if account else []
        return next((role for role in roles if role.name.lower() == name), None)

    def service_session(self, role_arn: str, service: str, name: str, seconds: float) -> Session:
        """Credentials of a role for a service that its trust policy names.

        Raises:
            CloudError: No such role, or it does not trust the service.
        """
        role = self.role(role_arn)
        if role is None:
            raise CloudError(404, "EntityNotExist.Role", f"The role {role_arn} does not exist.")
        if not ram.trusts(role.trust, {"Service": service}, {}):
            raise CloudError(403, "NoPermission", f"The role {role_arn} does not trust {service}.")
        return self.issue(role_arn, name, seconds, None)

    def issue(
        self, role_arn: str, name: str, seconds: float, policy: Mapping[str, Any] | None
    ) -> Session:
        """New credentials of an existing role. Whether they may be had is the asker's to check."""
        role = self.role(role_arn)
        assert role is not None  # noqa: S101 -- the callers looked it up
        account_uid = role_arn.split(":")[3]
        key = f"STS.{secrets.token_hex(12)}"
        caller = Caller(
            account_uid=account_uid,
            arn=f"acs:ram::{account_uid}:role/{role.name.lower()}/{name}",
            identity="role",
            access_key_id=key,
            policies=tuple(role.policies),
            session_policy=policy,
        )
        now = self._cloud.clock.now()
        session = Session(
            key, secrets.token_urlsafe(30), secrets.token_urlsafe(60), now + seconds, caller
        )
        if len(self._sessions) >= _MAX_SESSIONS:
            over = [old for old, one in self._sessions.items() if one.expires_at <= now]
            for old in over or list(self._sessions)[: _MAX_SESSIONS // 10]:
                del self._sessions[old]
        self._sessions[key] = session
        return session

    def sessions(self) -> list[Session]:
        """Every session that is kept, those that are over among them."""
        return list(self._sessions.values())

    def expire(self, access_key_id: str) -> None:
        """The session of this key is over from now on."""
        session = self._sessions[access_key_id]
        self._sessions[access_key_id] = replace(session, expires_at=self._cloud.clock.now())

    def _session(self, access_key_id: str, token: str | None) -> Session:
        session = self._sessions.get(access_key_id)
        if session is None:
            raise CloudError(
                404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."
            )
        if not token:
            raise CloudError(400, "MissingSecurityToken", "The security token is missing.")
        if not hmac.compare_digest(token.encode(), session.token.encode()):
            raise CloudError(
                403, "InvalidSecurityToken.MismatchWithAccessKey", "The token is of another key."
            )
        if session.expires_at <= self._cloud.clock.now():
            raise CloudError(403, "InvalidSecurityToken.Expired", "The security token has expired.")
        # The role may have been changed or taken away since.
        role = self.role(session.caller.arn.rsplit("/", 1)[0])
        if role is None:
            raise CloudError(404, "InvalidAccessKeyId.NotFound", "The role is gone.")
        return replace(session, caller=replace(session.caller, policies=tuple(role.policies)))
