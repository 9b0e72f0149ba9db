"""An access key, its secret and its token, which hide themselves wherever they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from shared.log import mask_value

if TYPE_CHECKING:
    from collections.abc import Mapping


class NoCredentials(RuntimeError):
    """Function Compute gave the function no credentials: its role is missing in s.yaml."""


@dataclass(frozen=True)
class Credentials:
    """What signs a call."""

    access_key_id: str
    access_key_secret: SecretStr
    security_token: SecretStr


def from_environment(environ: Mapping[str, str], context: Any) -> Credentials:
    """The function's own credentials, as they are now.

    The older runtimes renew them in the context of each invocation, the newer ones have them in
    the environment alone.

    Raises:
        NoCredentials: They are in neither place.
    """
    given = getattr(context, "credentials", None)
    if given is not None and getattr(given, "access_key_id", None):
        found = (given.access_key_id, given.access_key_secret, given.security_token or "")
    else:
        found = (
            environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", ""),
            environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ""),
            environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
        )
    key, secret, token = found
    if not key or not secret:
        raise NoCredentials("the function has no credentials: give it a role in s.yaml")
    mask_value(secret)
    mask_value(token)
    return Credentials(key, SecretStr(secret), SecretStr(token))
