"""Standard Webhooks: who gets an answer can tell that it is ours, and that it is not an old one."""

from __future__ import annotations

import binascii
from datetime import timezone
from typing import TYPE_CHECKING

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from shared.log import mask_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pydantic import SecretStr


class BadSecret(ValueError):
    """A secret that is none: it is not `whsec_` and base64."""


class Signer:
    """Signs in the name of one secret, or of several while they are rotated.

    Args:
        secrets: `whsec_…`; whoever verifies by any of them is content.
    """

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        for secret in secrets:
            mask_value(secret, always=True)
        try:
            self._webhooks = [Webhook(one.get_secret_value()) for one in secrets]
        except (EmptyWebhookSecretError, binascii.Error, ValueError, RuntimeError):
            raise BadSecret("an answer secret is not whsec_ and base64") from None
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
