"""Forms that only the person who was shown them can send, and only from our own pages. Pure.

A form's token is an HMAC over who was shown it, what it is for, and until when; beside it the
browser's own word on where the form was sent from is asked for.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from shared.contract import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pydantic import SecretStr

_MOST_FIELDS: Final = 20
GOOD_FOR: Final = timedelta(hours=1)
_TOKEN: Final = re.compile(r"([0-9]{1,11})\.([0-9a-f]{64})")


class NotOurForm(Exception):
    """It was sent from another site, for another person, or too late. The reason is for the log."""


@dataclass(frozen=True)
class Forms:
    """Makes tokens, and checks them.

    Args:
        secret: The key.
        origin: Where our pages are: `https://ecr.example.com`.
    """

    secret: SecretStr
    origin: str

    def token(self, subject: str, what: str, now: datetime) -> str:
        """The token of a form.

        Args:
            subject: Who is shown it.
            what: What it is for, down to the id of the request that would come of it.
            now: The time.
        """
        until = str(int((now + GOOD_FOR).timestamp()))
        return f"{until}.{self._made(until, subject, what)}"

    def check(
        self, headers: Mapping[str, str], token: str, subject: str, what: str, now: datetime
    ) -> None:
        """Nothing is wrong with what was sent. Raises NotOurForm."""
        self._check_sent_from(headers)
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise NotOurForm("no token")
        if not hmac.compare_digest(found[2], self._made(found[1], subject, what)):
            raise NotOurForm("token")
        if int(found[1]) < now.timestamp():
            raise NotOurForm("too late")

    def _made(self, until: str, subject: str, what: str) -> str:
        key = self.secret.get_secret_value().encode()
        # No part can run into the next one: each is hashed for itself.
        parts = b"".join(sha256(one.encode()).digest() for one in (until, subject, what))
        return hmac.new(key, b"console-form" + parts, sha256).hexdigest()

    def _check_sent_from(self, headers: Mapping[str, str]) -> None:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None and site is None:
            raise NotOurForm("neither Origin nor Sec-Fetch-Site")
        if origin is not None and origin != self.origin:
            raise NotOurForm("Origin")
        if site is not None and site != "same-origin":
            raise NotOurForm("Sec-Fetch-Site")


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of a form that was sent. Raises NotOurForm where it is none of ours."""
    try:
        pairs = parse_qsl(
            body[:MAX_MESSAGE_BYTES].decode(),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=_MOST_FIELDS,
            errors="strict",
        )
    except ValueError:
        raise NotOurForm("the body is no form") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise NotOurForm("a field comes twice")
    return fields
