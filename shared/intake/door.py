"""A request in, an answer out, always: who may enter is let in, every refusal is a problem."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import ValidationError
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.wrappers import Response

from shared.cloud.errors import CloudFailure
from shared.contract import MAX_MESSAGE_BYTES
from shared.intake import openapi, page
from shared.intake.models import Health, Listing, OfRequest
from shared.intake.problems import MEDIA_TYPE, Refusal, not_found, unauthorized
from shared.intake.readers import reader_of
from shared.intake.routes import BY_NAME, router
from shared.intake.webhooks import NotVerified
from shared.ledger import LedgerUnavailable
from shared.log import correlate

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Request

    from shared.console.door import ConsoleDoor
    from shared.contract import Model
    from shared.intake.posting import Posting
    from shared.intake.reading import Reading
    from shared.intake.routes import Route
    from shared.intake.webhooks import Signed, Webhooks

log = structlog.get_logger()

MOST_HEADER_BYTES: Final = 6144
MOST_URL_BYTES: Final = 3072
"""Below Function Compute's own 8 KB and 4 KB, whose refusals are no problem details."""
_ALWAYS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_LATER: Final = "Nothing to mend: send the same again a little later."


@dataclass(frozen=True)
class IntakeDoor:
    """Answers HTTP requests.

    Args:
        webhooks: Verifies who posts.
        posting: Takes requests in.
        reading: Tells what became of them.
        console: Gives the console, which is put together when its first page is asked for; None:
            there is none.
    """

    webhooks: Webhooks
    posting: Posting
    reading: Reading
    console: Callable[[], ConsoleDoor] | None = None

    @cached_property
    def _routes(self) -> Any:
        return router().bind("")

    def answer(self, request: Request, request_id: str | None) -> Response:
        """The answer; it never raises.

        Args:
            request: The HTTP request, its body as raw bytes.
            request_id: Function Compute's id of it.
        """
        try:
            found = self._answered(request)
        except Exception as error:  # noqa: BLE001 -- the edge: everything has an answer
            found = problem(error, request_id)
        for name, value in _ALWAYS.items():
            found.headers.setdefault(name, value)
        return found

    def _answered(self, request: Request) -> Response:
        _check_size(request)
        if self.console is not None and _is_console(request.path):
            correlate(route="console")
            return self.console().answer(request)
        route, path = self._route(request)
        correlate(route=route.name)
        if route.door == "sender":
            return self._posted(route, path, request)
        if route.door == "reader":
            return _json(self._read(route, path, request))
        if route.name == "getHealth":
            self.reading.ledger.note("healthz")
            return _json(Health())
        return _document(route)

    def _route(self, request: Request) -> tuple[Route, OfRequest | None]:
        try:
            name, parts = self._routes.match(request.path, request.method)
        except MethodNotAllowed as error:
            allowed = ", ".join(sorted(error.valid_methods or ()))
            raise Refusal(
                "method_not_allowed",
                "This is not done by that method.",
                f"Use {allowed}.",
                {"Allow": allowed},
            ) from None
        except NotFound:
            raise not_found() from None
        route = BY_NAME[name]
        if route.path_model is None:
            return route, None
        try:
            return route, OfRequest.model_validate(parts)
        except ValidationError:
            return route, None  # no such id can be: told once it is known who asks

    def _posted(self, route: Route, path: OfRequest | None, request: Request) -> Response:
        body = request.get_data()
        if len(body) > MAX_MESSAGE_BYTES:
            limit = f"{MAX_MESSAGE_BYTES} bytes"
            raise Refusal("too_large", f"A body has {limit} at most.", "Post a smaller one.")
        try:
            signed = self.webhooks.verify(_lowered(request), body)
        except NotVerified as reason:
            log.warning("webhook_refused", reason=str(reason))
            raise unauthorized("StandardWebhooks") from None
        correlate(sender=signed.sender)
        accepted = self._taken(route, path, signed, body)
        answer = _json(accepted, route.status)
        answer.headers["Location"] = accepted.status_url
        answer.autocorrect_location_header = False
        return answer

    def _taken(self, route: Route, path: OfRequest | None, signed: Signed, body: bytes) -> Any:
        if route.path_model is None:
            return self.posting.ask(signed, body)
        if path is None:
            raise not_found("There is no such request.")
        take = self.posting.renew if route.name == "renewRequest" else self.posting.cancel
        return take(signed, body, path.request_id)

    def _read(self, route: Route, path: OfRequest | None, request: Request) -> Model:
        found = reader_of(_lowered(request).get("authorization", ""), self.reading.registry.readers)
        if found is None:
            raise unauthorized("Bearer")
        name, reader = found
        correlate(reader=name)
        if route.name == "listAuthorizations":
            return self.reading.authorizations(reader, _listing(request))
        if path is None:
            raise not_found("There is no such request.")
        return self.reading.request(reader, path.request_id)


def problem(error: Exception, request_id: str | None) -> Response:
    """What is told of an exception: a refusal as it is, the ledger's and the queue's as passing.

    Args:
        error: What happened.
        request_id: Function Compute's id of the HTTP request.
    """
    if isinstance(error, Refusal):
        refusal = error
    elif isinstance(error, LedgerUnavailable):
        log.error("ledger_unavailable", exc_info=error)
        refusal = _not_now("ledger_unavailable", "The ledger does not answer.")
    elif isinstance(error, CloudFailure):
        log.error("queue_unavailable", exc_info=error)
        refusal = _not_now("queue_unavailable", "The request could not be put on the queue.")
    else:
        log.error("http_failed", exc_info=error)
        refusal = Refusal("internal", "The request could not be answered.", _LATER)
    details = refusal.details(request_id)
    log.info("problem_answered", code=details.code, status=details.status)
    body = details.model_dump_json(exclude_none=True)
    return Response(body, details.status, {**_ALWAYS, **refusal.headers}, content_type=MEDIA_TYPE)


def _is_console(path: str) -> bool:
    return path == "/console" or path.startswith("/console/")


def _not_now(code: str, detail: str) -> Refusal:
    return Refusal(code, detail, _LATER, {"Retry-After": "5"})


def _check_size(request: Request) -> None:
    size = sum(len(name) + len(value) for name, value in request.headers.items())
    if size > MOST_HEADER_BYTES:
        limit = f"The headers have {MOST_HEADER_BYTES} bytes at most."
        raise Refusal("headers_too_long", limit, "Leave out what is not needed.")
    if len(request.environ["PATH_INFO"]) + len(request.query_string) > MOST_URL_BYTES:
        limit = f"Path and query have {MOST_URL_BYTES} bytes at most."
        raise Refusal("url_too_long", limit, "Leave out what is not needed.")


def _listing(request: Request) -> Listing:
    given = {name: ",".join(request.args.getlist(name)) for name in request.args}
    try:
        return Listing.model_validate_strings(given)
    except ValidationError as error:
        names = sorted({str(one["loc"][0]) for one in error.errors(include_input=False)})
        known = [name for name in names if name in Listing.model_fields]
        what = ", ".join(known) or "a parameter that there is not"
        raise Refusal(
            "bad_query", f"Not what it should be: {what}.", "Compare it with /docs."
        ) from None


def _lowered(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _json(answer: Model, status: int = 200) -> Response:
    body = answer.model_dump_json(exclude_none=True)
    return Response(body, status, content_type="application/json")


def _document(route: Route) -> Response:
    document = openapi.document()
    if route.name == "getDocs":
        headers = {"Content-Security-Policy": page.POLICY}
        return Response(
            page.page(document), headers=headers, content_type="text/html; charset=utf-8"
        )
    return Response(openapi.text(), content_type="application/json")
