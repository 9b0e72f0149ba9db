"""The console's door: an address in, a page out; who may not is told what to do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import structlog
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

from shared.cloud.errors import CloudFailure
from shared.console import assets
from shared.console.acting import KINDS
from shared.console.forms import Forms, NotOurForm
from shared.console.people import NotSignedIn, People
from shared.console.visit import MessageInstead, Visit
from shared.intake.problems import Refusal, not_found
from shared.ledger import LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pydantic import SecretStr
    from werkzeug.wrappers import Request

    from shared.console.acting import Acting
    from shared.console.looking import Looking
    from shared.console.settings import ConsoleSettings
    from shared.registry import Registry

log = structlog.get_logger()

_YEAR: Final = 365 * 24 * 3600


@dataclass(frozen=True)
class ConsoleDoor:
    """Answers what browsers ask.

    Args:
        settings: Where the console is.
        people: Tells who is asking.
        forms: Tells whether a form is ours.
        looking: What pages show.
        acting: What forms ask for.
        registry: Who is who.
        now: The clock, UTC.
    """

    settings: ConsoleSettings
    people: People
    forms: Forms
    looking: Looking
    acting: Acting
    registry: Registry
    now: Callable[[], datetime]

    @cached_property
    def _routes(self) -> Any:
        return _map().bind("")

    def answer(self, request: Request) -> Response:
        """The page, or the message in its stead. What is nobody's fault is raised."""
        visit = Visit(self, request)
        try:
            return self._found(visit, request)
        except NotSignedIn as reason:
            log.info("sign_in_refused", reason=str(reason))
            told = MessageInstead("not_signed_in", HTTPStatus.UNAUTHORIZED)
        except NotOurForm as reason:
            log.warning("form_refused", reason=str(reason))
            told = MessageInstead("not_our_form", HTTPStatus.FORBIDDEN)
        except (MethodNotAllowed, NotFound) as error:
            told = MessageInstead("not_found", HTTPStatus(error.code))
        except MessageInstead as one:
            told = one
        except Refusal as refusal:
            return visit.refused(refusal)
        except LedgerUnavailable:
            log.exception("ledger_unavailable")
            told = MessageInstead("not_now", HTTPStatus.SERVICE_UNAVAILABLE)
        except CloudFailure:
            log.exception("queue_unavailable")
            told = MessageInstead("not_now", HTTPStatus.SERVICE_UNAVAILABLE)
        return visit.message(told)

    def _found(self, visit: Visit, request: Request) -> Response:
        name, parts = self._routes.match(request.path, request.method)
        if name == "asset":
            return _asset(parts["name"])
        visit.person = self.people.person(visit.headers, visit.now)
        if visit.person.role is None:
            raise MessageInstead("no_role", HTTPStatus.FORBIDDEN)
        found: Response = getattr(visit, name)(**parts)
        return found


def _asset(name: str) -> Response:
    found = assets.served(name)
    if found is None:
        raise not_found()
    headers = {
        "Cache-Control": f"public, max-age={_YEAR}, immutable",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
    }
    return Response(found.text, HTTPStatus.OK, headers, content_type=found.kind)


def _map() -> Map:
    kinds = f"<any({','.join(KINDS)}):kind>"
    get = {
        "/console": "list",
        "/console/": "list",
        "/console/authorizations/<key>": "authorization",
        f"/console/authorizations/<key>/{kinds}": "confirm",
        "/console/requests/<request_id>": "request_page",
        "/console/brakes": "brakes",
        "/console/drift": "drift",
        "/console/doctor": "doctor",
        "/console/expiries": "expiries",
        "/console/assets/<name>": "asset",
    }
    post = {
        f"/console/authorizations/<key>/{kinds}": "ask",
        "/console/brakes/<any(release,drop):kind>": "decide",
    }
    rules = [Rule(path, endpoint=name, methods=["GET"]) for path, name in get.items()]
    rules += [Rule(path, endpoint=name, methods=["POST"]) for path, name in post.items()]
    options: dict[str, Any] = {"strict_slashes": False, "merge_slashes": False}
    return Map(rules, redirect_defaults=False, **options)


def opened(  # noqa: PLR0913 -- what intake is made of
    settings: ConsoleSettings,
    secret: SecretStr,
    registry: Registry,
    looking: Looking,
    acting: Acting,
    now: Callable[[], datetime],
) -> ConsoleDoor:
    """The console, put together."""
    return ConsoleDoor(
        settings=settings,
        people=People(settings, registry.console),
        forms=Forms(secret, settings.origin),
        looking=looking,
        acting=acting,
        registry=registry,
        now=now,
    )
