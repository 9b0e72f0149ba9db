"""ExternalIds: one for each account B, derived from a key that the authorize function alone has.

While the key is changed there are two, and an account B may trust either's:

    EXTERNAL_ID_KEY   old ───────────────────────┐ new ─────────────▶
    ..._NEXT          (none)   new ──────────────┘ (none)
    account B trusts  old      old, later new      new
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from shared.log import mask_value

SHORTEST_KEY: Final = 32


def external_id(key: SecretStr, account_uid: str) -> SecretStr:
    """The ExternalId of one account B: unguessable, the same each time, not kept anywhere.

    It is derived from one key held outside the code, so that no list of ExternalIds exists.
    """
    check_key(key)
    secret = key.get_secret_value().encode()
    digest = hmac.digest(secret, f"ecr-external-id/{account_uid}".encode(), "sha256")
    return SecretStr("ecr-" + base64.b32encode(digest).decode().rstrip("=").lower())


def check_key(key: SecretStr) -> None:
    """Raises ValueError where the key could be guessed."""
    text = key.get_secret_value()
    if len(text) < SHORTEST_KEY or text != text.strip():
        raise ValueError(
            f"the ExternalId key must have at least {SHORTEST_KEY} characters, without blanks "
            "around them"
        )


@dataclass(frozen=True)
class ExternalIdKeys:
    """The key, and while it is changed the one that comes next. They hide themselves.

    Raises:
        ValueError: One could be guessed, or both are the same.
    """

    current: SecretStr
    following: SecretStr | None = None

    def __post_init__(self) -> None:
        check_key(self.current)
        if self.following is not None:
            check_key(self.following)
            if self.following == self.current:
                raise ValueError("EXTERNAL_ID_KEY_NEXT is EXTERNAL_ID_KEY: there is no change")

    def of(self, account_uid: str) -> tuple[SecretStr, SecretStr | None]:
        """The account's ExternalId by the key, and by the next one; both are masked from now on."""
        one = external_id(self.current, account_uid)
        other = external_id(self.following, account_uid) if self.following is not None else None
        for secret in (one, other):
            if secret is not None:
                mask_value(secret)
        return one, other
