"""Refusals as problem details (RFC 9457), each with a stable code, a sentence and a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from shared.contract import Model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.contract import Problem

MEDIA_TYPE: Final = "application/problem+json"
_URN: Final = "urn:ecr-authorization:problem:"
REFUSED: Final = 422
"""The status of what the registry refuses, whatever its code."""

STATUS: Final[dict[str, tuple[int, str]]] = {
    "not_http": (400, "The event is no HTTP request"),
    "not_json": (400, "The body is not a JSON object"),
    "bad_query": (400, "A parameter is not what it should be"),
    "unauthorized": (401, "Not let in"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "The method is not allowed"),
    "request_id_reused": (409, "The request id is taken"),
    "webhook_id_reused": (409, "The webhook id is taken"),
    "too_large": (413, "The body is too large"),
    "url_too_long": (414, "The URL is too long"),
    "malformed": (422, "The body is no request"),
    "callback_system_unknown": (422, "The callback's system is not known"),
    "not_a_grant": (422, "The request is no grant"),
    "rate_limited": (429, "Too many requests"),
    "headers_too_long": (431, "The headers are too long"),
    "internal": (500, "Something went wrong here"),
    "ledger_unavailable": (503, "Not now"),
    "queue_unavailable": (503, "Not now"),
}
"""Our own codes, each with its HTTP status and title; those of shared/policy.py come with 422."""


class ProblemDetails(Model):
    """What is wrong and what to do about it."""

    type: Annotated[str, Field(description="Stable, like `code`")]
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="Stable")]
    remedy: str
    request: Annotated[
        str | None, Field(description="Function Compute's id of this HTTP request, for support")
    ] = None


class Refusal(Exception):
    """The answer is a problem.

    Args:
        code: One of `STATUS`, or of shared/policy.py.
        detail: What is wrong, in a sentence that holds nothing of what was sent.
        remedy: What can be done.
        headers: Headers that go with it.
    """

    def __init__(
        self, code: str, detail: str, remedy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, problem: Problem) -> Refusal:
        """What a request is refused for."""
        return cls(problem.code, problem.message, problem.remedy)

    def details(self, request: str | None) -> ProblemDetails:
        """As it is told.

        Args:
            request: Function Compute's id of the HTTP request.
        """
        status, title = STATUS.get(self.code, (REFUSED, "The request may not be"))
        return ProblemDetails(
            type=_URN + self.code,
            title=title,
            status=status,
            detail=self.detail,
            code=self.code,
            remedy=self.remedy,
            request=request,
        )


def not_found(what: str = "There is nothing here.") -> Refusal:
    """It is not there, or not for who asks: the two are not told apart."""
    return Refusal("not_found", what, "Compare the address and the id with /docs.")


def unauthorized(scheme: str) -> Refusal:
    """Who is not let in is not told why."""
    remedy = "Compare the secret or token, the signature and the clock with README.md."
    headers = {"WWW-Authenticate": scheme}
    return Refusal("unauthorized", "The request does not prove who sent it.", remedy, headers)
