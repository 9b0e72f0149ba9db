"""Who is asking: a token that an identity provider has signed, verified here, whoever brought it.

A gateway in front (Function Compute's jwt authentication, a proxy) may have looked at it already:
its word is not taken. One algorithm, known keys, issuer, audience and time are checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import TypeAdapter, ValidationError

from shared.contract import Text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.console.settings import ConsoleSettings
    from shared.registry import ConsoleRole

_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,1000}\.[A-Za-z0-9_-]{1,4000}\.[A-Za-z0-9_-]{1,1000}")
_LEEWAY: Final = timedelta(seconds=30)
_LONGEST: Final = timedelta(hours=24)
_MOST_ROLES: Final = 200
_text: TypeAdapter[str] = TypeAdapter(Text)


class NotSignedIn(Exception):
    """Nobody known is asking, or no longer. The reason is for our log alone."""


@dataclass(frozen=True)
class Person:
    """Who has signed in.

    Args:
        subject: The issuer's id of the person, which never changes.
        name: As requests and the audit trail call the person.
        role: The registry's word on what the person may; None: nothing.
    """

    subject: str
    name: str
    role: ConsoleRole | None

    @property
    def may_act(self) -> bool:
        """The person may ask for renewals and revokes."""
        return self.role is not None and self.role.may == "act"

    @property
    def sees_all(self) -> bool:
        """Nothing is out of the person's scope."""
        role = self.role
        return role is not None and role.accounts == "all" and role.ecrs == "all"


class People:
    """Tells who is asking.

    Args:
        settings: Whose word is taken.
        roles: Those of the registry: the first that a person has counts.
    """

    def __init__(self, settings: ConsoleSettings, roles: Mapping[str, ConsoleRole]) -> None:
        self._settings = settings
        self._roles = roles
        self._keys = KeySet.import_key_set({"keys": [dict(one) for one in settings.keys["keys"]]})

    def person(self, headers: Mapping[str, str], now: datetime) -> Person:
        """Who is asking.

        Args:
            headers: By their names in lower case.
            now: The time.

        Raises:
            NotSignedIn: There is no token, or none that is right now.
        """
        claims = self._claims(self._token(headers), now)
        subject, name = claims.get("sub"), claims.get(self._settings.name)
        try:
            return Person(
                _text.validate_python(subject, strict=True),
                _text.validate_python(name, strict=True),
                self._role(claims.get(self._settings.roles)),
            )
        except ValidationError:
            raise NotSignedIn("sub or name: missing, or no line of text") from None

    def _token(self, headers: Mapping[str, str]) -> str:
        kind, _, name = self._settings.token.partition(":")
        if kind == "header":
            token = headers.get(name, "").strip()
            if name == "authorization":
                scheme, _, token = token.partition(" ")
                token = token.strip() if scheme.lower() == "bearer" else ""
        else:
            token = _cookie(headers.get("cookie", ""), name)
        if not token:
            raise NotSignedIn("no token")
        if not _FORM.fullmatch(token):
            raise NotSignedIn("the token is none")
        return token

    def _claims(self, text: str, now: datetime) -> dict[str, Any]:
        settings, at = self._settings, int(now.timestamp())
        leeway = int(_LEEWAY.total_seconds())
        rules = jwt.JWTClaimsRegistry(
            now=at,
            leeway=leeway,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            token = jwt.decode(text, self._keys, algorithms=[settings.algorithm])
            rules.validate(token.claims)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise NotSignedIn(type(error).__name__) from None
        until = token.claims["exp"]
        if not isinstance(until, int | float) or until - at > _LONGEST.total_seconds() + leeway:
            raise NotSignedIn("it would be good for more than a day")
        return token.claims

    def _role(self, claim: object) -> ConsoleRole | None:
        given = claim.split() if isinstance(claim, str) else claim
        if not isinstance(given, list) or len(given) > _MOST_ROLES:
            return None
        return next((role for name, role in self._roles.items() if name in given), None)


def _cookie(header: str, name: str) -> str:
    """The cookie's value; empty where it is not there, or there twice: nobody knows whose."""
    found = [
        value.strip()
        for key, _, value in (one.partition("=") for one in header.split(";"))
        if key.strip() == name
    ]
    return found[0] if len(found) == 1 else ""
