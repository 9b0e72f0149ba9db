"""One signed and authenticated API call, and the error that answers a bad one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class CloudError(Exception):
    """A refusal with the cloud's own code; each product's wire gives it that product's shape."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


@dataclass(frozen=True)
class Caller:
    """Who signed the call, and what RAM lets them do."""

    account_uid: str
    arn: str
    identity: Literal["user", "role", "root"]
    access_key_id: str
    policies: tuple[Mapping[str, Any], ...] = ()
    session_policy: Mapping[str, Any] | None = None
    source_ip: str = "127.0.0.1"
    secure_transport: bool = False


@dataclass(frozen=True)
class Call:
    """An RPC call after its signature was verified: flat wire parameters, as sent."""

    action: str
    params: Mapping[str, str]
    caller: Caller
    request_id: str
    now: float


@dataclass(frozen=True)
class Operation:
    """How one RPC action is answered.

    Args:
        answer: Makes the response body; raises CloudError.
        resources: The RAM resource ARNs that the caller must be allowed, all of them.
        context: The call's own condition keys for RAM, such as `sts:ExternalId`.
        needs_permission: False for the few calls that RAM does not check (GetCallerIdentity).
        quota: Which per-minute quota the call counts against, if any.
        params_in: Where the product's SDK puts parameters; the other place is ignored.
    """

    answer: Callable[[Call], dict[str, Any]]
    resources: Callable[[Call], Sequence[str]]
    context: Callable[[Call], Mapping[str, str]] = lambda _: {}
    needs_permission: bool = True
    quota: Literal["write", "read"] | None = None
    params_in: Literal["query", "body"] = "query"


@dataclass(frozen=True)
class Product:
    """One RPC product as the wire dispatches to it, chosen by the x-acs-version header.

    Args:
        code: RAM's service code, the part of an action before the colon.
        version: The API version (`2023-09-01`).
        operations: Every action that is served.
        envelope: True where answers say Success and Code themselves, and errors may come inside
            HTTP 200 (ECR).
    """

    code: str
    version: str
    operations: Mapping[str, Operation] = field(default_factory=dict)
    envelope: bool = False
