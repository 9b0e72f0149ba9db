"""Every route as data: the router and the OpenAPI document are both made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from werkzeug.routing import Map, Rule

from shared.contract import Bundle, Request
from shared.intake import models

if TYPE_CHECKING:
    from shared.contract import Model

Door = Literal["sender", "reader", "anyone"]

_ALWAYS: Final = ("not_http", "url_too_long", "headers_too_long", "internal", "ledger_unavailable")
_POSTED: Final = (
    "not_json",
    "unauthorized",
    "too_large",
    "request_id_reused",
    "webhook_id_reused",
    "malformed",
    "callback_system_unknown",
    "rate_limited",
    "queue_unavailable",
)


@dataclass(frozen=True)
class Route:
    """One route.

    Args:
        name: What the door calls it, and the OpenAPI document's operationId.
        method: GET or POST.
        path: As OpenAPI writes it: `/requests/{request_id}`.
        door: Who may enter: whose webhook verifies, who bears a reader's token, or anyone.
        summary: A sentence.
        status: Of the answer that is no problem.
        answer: Its model, or its media type where it is no JSON of ours.
        path_model: The parameters in the path.
        query: The parameters behind `?`.
        body: What may be posted: one of these.
        problems: The codes that it may be refused with, but for those that every route has.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    door: Door
    summary: str
    status: int
    answer: type[Model] | str
    path_model: type[Model] | None = None
    query: type[Model] | None = None
    body: tuple[type[Model], ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """Every code of a problem that it may answer with."""
        return (*_ALWAYS, *self.problems)


ROUTES: Final = (
    Route(
        name="postRequest",
        method="POST",
        path="/requests",
        door="sender",
        summary="Ask for access, for one instance or for many, or for its end",
        status=202,
        answer=models.Accepted,
        body=(Request, Bundle),
        problems=_POSTED,
    ),
    Route(
        name="getRequest",
        method="GET",
        path="/requests/{request_id}",
        door="reader",
        summary="What became of a request, and what happens next",
        status=200,
        answer=models.RequestStatus,
        path_model=models.OfRequest,
        problems=("unauthorized", "not_found"),
    ),
    Route(
        name="renewRequest",
        method="POST",
        path="/requests/{request_id}/renew",
        door="sender",
        summary="Ask that what a request has granted stays until another time",
        status=202,
        answer=models.Accepted,
        path_model=models.OfRequest,
        body=(models.Renewal,),
        problems=(*_POSTED, "not_found", "not_a_grant"),
    ),
    Route(
        name="cancelRequest",
        method="POST",
        path="/requests/{request_id}/cancel",
        door="sender",
        summary="Ask that the lease ends that a request has granted",
        status=202,
        answer=models.Accepted,
        path_model=models.OfRequest,
        body=(models.Cancellation,),
        problems=(*_POSTED, "not_found", "not_a_grant"),
    ),
    Route(
        name="listAuthorizations",
        method="GET",
        path="/authorizations",
        door="reader",
        summary="What stands, page by page",
        status=200,
        answer=models.Page,
        query=models.Listing,
        problems=("unauthorized", "bad_query"),
    ),
    Route(
        name="getHealth",
        method="GET",
        path="/healthz",
        door="anyone",
        summary="Whether the function works and reaches its ledger",
        status=200,
        answer=models.Health,
    ),
    Route(
        name="getOpenApi",
        method="GET",
        path="/openapi.json",
        door="anyone",
        summary="This document",
        status=200,
        answer="application/json",
    ),
    Route(
        name="getDocs",
        method="GET",
        path="/docs",
        door="anyone",
        summary="This document as a page to read",
        status=200,
        answer="text/html",
    ),
)
BY_NAME: Final = {route.name: route for route in ROUTES}


def router() -> Map:
    """The routes as werkzeug matches them: one path, one route, nothing redirected."""
    rules = []
    for route in ROUTES:
        path = route.path.replace("{", "<").replace("}", ">")
        rule = Rule(path, endpoint=route.name, methods=[route.method])
        assert rule.methods is not None  # noqa: S101 -- given above
        rule.methods.discard("HEAD")  # the trigger lets none in
        rules.append(rule)
    options: dict[str, Any] = {"strict_slashes": False, "merge_slashes": False}
    return Map(rules, redirect_defaults=False, **options)
