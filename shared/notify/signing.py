"""Standard Webhooks: who gets an answer can tell that it is ours, and that it is not an old one."""

from __future__ import annotations

import base64
import binascii
from datetime import timezone
from typing import TYPE_CHECKING, Final

from standardwebhooks.webhooks import Webhook

from shared.log import mask_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pydantic import SecretStr


_PREFIX: Final = "whsec_"
_SHORTEST_BYTES: Final = 24  # as Standard Webhooks has it


class BadSecret(ValueError):
    """A secret that is none: it is not `whsec_` and base64 of 24 bytes or more."""


class Signer:
    """Signs in the name of one secret, or of several while they are rotated.

    Args:
        secrets: `whsec_…`; whoever verifies by any of them is content.
    """

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        for secret in secrets:
            mask_value(secret, always=True)
        self._webhooks = [Webhook(_key(one.get_secret_value())) for one in secrets]
        if not self._webhooks:
            raise BadSecret("a sender of ANSWER_SECRETS has no secret")

    def headers(self, message_id: str, at: datetime, body: str) -> Mapping[str, str]:
        """The three headers of a message."""
        at = at.astimezone(timezone.utc)  # the library takes any clock for UTC
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(
                one.sign(msg_id=message_id, timestamp=at, data=body) for one in self._webhooks
            ),
        }


def _key(secret: str) -> bytes:
    """The secret's bytes: the library would pass over what is no base64."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < _SHORTEST_BYTES:
        raise BadSecret("an answer secret is not whsec_ and base64 of 24 bytes or more")
    return key
