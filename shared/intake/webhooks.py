"""Who posts: Standard Webhooks, verified over the raw bytes; every malformed one is refused alike.

The signing is the `standardwebhooks` library's. Its own `verify` reads the wall clock, takes one
secret, and lets other exceptions out for malformed signatures: what is around it is done here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError
from standardwebhooks.webhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from pydantic import SecretStr

TOLERANCE: Final = timedelta(seconds=300)
LONGEST_ID: Final = 128
_ID: Final = re.compile(rf"[!-+/-~-]{{1,{LONGEST_ID}}}")  # printable, without `.` and `,`
_TIMESTAMP: Final = re.compile(r"[0-9]{1,11}")
_MOST_SIGNATURES: Final = 8
_SIGNATURE_BYTES: Final = 32
_KEY_BYTES: Final = range(24, 65)
_PREFIX: Final = "whsec_"
_secrets: TypeAdapter[dict[str, list[str]]] = TypeAdapter(dict[str, list[str]])


class BadSecrets(ValueError):
    """WEBHOOK_SECRETS cannot be used: which sender's, and why; never the secret."""


class NotVerified(Exception):
    """Nobody known has sent this, or not now. The reason is for our log alone."""


@dataclass(frozen=True)
class Signed:
    """A message whose signature was right.

    Args:
        sender: Whose secret it was.
        webhook_id: The same whenever the message is sent again.
    """

    sender: str
    webhook_id: str


class Webhooks:
    """Verifies messages of all senders.

    Args:
        secrets: JSON, `{"sender": ["whsec_…", …]}`: several while one is changed.
        senders: Those that the registry knows.
        now: The clock, UTC.

    Raises:
        BadSecrets: They are not of that form, too short, or one of them is two senders'.
    """

    def __init__(
        self, secrets: SecretStr, senders: Collection[str], now: Callable[[], datetime]
    ) -> None:
        self._keys = list(_keys(secrets.get_secret_value(), senders))
        self._now = now

    def verify(self, headers: Mapping[str, str], body: bytes) -> Signed:
        """Who has sent it. All senders are tried, whoever it was.

        Args:
            headers: By their names in lower case.
            body: The raw bytes.

        Raises:
            NotVerified: Malformed, unsigned, too old or too new, or signed by nobody known.
        """
        webhook_id = headers.get("webhook-id", "")
        if not _ID.fullmatch(webhook_id):
            raise NotVerified("webhook-id")
        at = self._timestamp(headers.get("webhook-timestamp", ""))
        passed = _signatures(headers.get("webhook-signature", ""))
        try:
            data = body.decode()
        except UnicodeDecodeError:
            raise NotVerified("body") from None
        found = None
        for sender, key in self._keys:
            made = _decoded(key.sign(webhook_id, at, data))
            is_right = False
            for signature in passed:
                is_right |= hmac.compare_digest(made, signature)
            found = sender if is_right else found
        if found is None:
            raise NotVerified("signature")
        return Signed(found, webhook_id)

    def _timestamp(self, text: str) -> datetime:
        if not _TIMESTAMP.fullmatch(text):
            raise NotVerified("webhook-timestamp")
        at = datetime.fromtimestamp(int(text), tz=timezone.utc)
        if abs(self._now() - at) > TOLERANCE:
            raise NotVerified("webhook-timestamp: too old or too new")
        return at


def _signatures(header: str) -> list[bytes]:
    """Those of version 1; other versions are passed over, what is no signature is not."""
    parts = header.split(" ")
    if len(parts) > _MOST_SIGNATURES:
        raise NotVerified("webhook-signature: too many")
    found = []
    for part in parts:
        version, comma, _ = part.partition(",")
        if not comma or not version.isascii() or not version.isalnum():
            raise NotVerified("webhook-signature")
        if version == "v1":
            found.append(_decoded(part))
    return found


def _decoded(part: str) -> bytes:
    try:
        signature = base64.b64decode(part.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise NotVerified("webhook-signature") from None
    if len(signature) != _SIGNATURE_BYTES:
        raise NotVerified("webhook-signature")
    return signature


def _keys(text: str, senders: Collection[str]) -> Iterator[tuple[str, Webhook]]:
    seen: dict[bytes, str] = {}
    for sender, secrets in listed(text).items():
        if sender not in senders:
            raise BadSecrets(f"WEBHOOK_SECRETS names {sender[:40]!r}, which the registry does not")
        for secret in secrets:
            key = key_of(secret)
            if key is None:
                raise BadSecrets(
                    f"a secret of {sender} is none: whsec_ and 24 to 64 bytes in base64"
                )
            if seen.setdefault(key, sender) != sender:
                raise BadSecrets(f"{sender} and {seen[key]} have a secret in common")
            yield sender, Webhook(key)


def listed(text: str) -> dict[str, list[str]]:
    """The secrets by sender, as they stand in the environment. Raises BadSecrets."""
    try:
        return _secrets.validate_json(text or "{}", strict=True)
    except ValidationError:
        raise BadSecrets('WEBHOOK_SECRETS is not {"sender": ["whsec_…"]}') from None


def key_of(secret: str) -> bytes | None:
    """The key that a secret holds, or None where it holds none."""
    if not secret.startswith(_PREFIX):
        return None
    bare = secret.removeprefix(_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) in _KEY_BYTES else None
