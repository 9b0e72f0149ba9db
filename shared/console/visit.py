"""One thing that a browser asks: what is shown, what is asked for, what is told in its stead."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, get_args

from werkzeug.wrappers import Response

from shared.authorization import State
from shared.cleanup.brake import NoSuchBrake, decide
from shared.console import words
from shared.console.acting import plan, usual_end
from shared.console.charts import drawn
from shared.console.forms import fields_of
from shared.console.looking import FILTERS, asked
from shared.console.pages import HEADERS, Frame, page
from shared.contract import Problem
from shared.intake.problems import STATUS, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from werkzeug.wrappers import Request

    from shared.authorization import Authorization
    from shared.console.acting import Kind, Plan
    from shared.console.door import ConsoleDoor
    from shared.console.people import Person
    from shared.ledger import Ledger
    from shared.registry import ConsoleRole

_YEAR: Final = 365 * 24 * 3600
_HIDDEN: Final = ("token", "run", "worker")
"""Facts of the audit trail that tell a reader of the timeline nothing."""


class MessageInstead(Exception):
    """No page is shown, but a message: what it is called, and its status."""

    def __init__(self, name: str, status: HTTPStatus, link: str | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.status = status
        self.link = link


class Visit:
    """One thing that a browser asks, and who asks it."""

    def __init__(self, door: ConsoleDoor, request: Request) -> None:
        self.door = door
        self.now = door.now()
        self.request = request
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.query = {name: request.args[name] for name in request.args}
        self.person: Person | None = None
        self._told = self.query.pop("lang", None)
        cookie = request.cookies.get(words.COOKIE, "")
        language = words.chosen(self._told, cookie, self.headers.get("accept-language", ""))
        self.words = words.words(language)

    # Pages ---------------------------------------------------------------------------------------

    def list(self) -> Response:
        """Authorizations."""
        wanted, bad = asked(self.query)
        given = {name: self.query.get(name, "") for name in FILTERS}
        found = None if bad else self.door.looking.listed(self._role, wanted)
        first = {**given, "cursor": ""}
        frame = self._frame()
        return self._page(
            "list",
            HTTPStatus.BAD_REQUEST if bad else HTTPStatus.OK,
            found=found,
            bad=bad,
            given=given,
            states=get_args(State),
            created=_created,
            first=frame.url("/console", **first),
            next=frame.url("/console", **{**first, "cursor": found.next or ""}) if found else "",
        )

    def authorization(self, key: str) -> Response:
        """One authorization."""
        found = self.door.looking.history(self._role, key)
        return self._page("authorization", found=found, created=_created, hidden=_HIDDEN)

    def request_page(self, request_id: str) -> Response:
        """One request, or the part of its page that changes."""
        told = self.door.looking.request(self._role, request_id)
        known = self.door.looking.asked(request_id)
        template = "live" if self.query.get("part") == "live" else "request"
        return self._page(
            template,
            status=told,
            reason=known.reason if known else None,
            key=getattr(getattr(known, "authorization", None), "key", None),
            asked_before="asked" in self.query,
        )

    def brakes(self, problem: str | None = None) -> Response:
        """The list that waits for an operator, and why a decision on it was not taken."""
        found = self.door.looking.braked()
        digest = found.brake.digest if found.brake else ""
        done = self.query.get("done")
        return self._page(
            "brakes",
            HTTPStatus.CONFLICT if problem else HTTPStatus.OK,
            found=found,
            problem=problem,
            done=done if done in ("released", "dropped") else None,
            tokens={kind: self._token(f"{kind} {digest}") for kind in ("release", "drop")},
        )

    def drift(self) -> Response:
        """What the clean-up has found."""
        return self._page("drift", found=self.door.looking.drift(self._role))

    def doctor(self) -> Response:
        """What the doctor has found."""
        return self._page("doctor", found=self.door.looking.examined())

    def expiries(self) -> Response:
        """When leases end, and how old grants are."""
        ends = drawn(self.door.looking.ends(self._role, self.now))
        run, ages = self.door.looking.ages()
        return self._page("expiries", ends=ends, run=run, ages=drawn(ages))

    # Asking for changes --------------------------------------------------------------------------

    def confirm(self, key: str, kind: Kind) -> Response:
        """What would happen, and the form that has it happen."""
        self._check_may_act()
        record = self.door.looking.record(self._role, key)
        return self._confirm(plan(self._ledger, record, kind, self.query.get("lease")))

    def ask(self, key: str, kind: Kind) -> Response:
        """What the form asks for is on the queue, once."""
        self._check_may_act()
        fields = fields_of(self.request.get_data())
        request_id = fields.get("request_id", "")
        record = self.door.looking.record(self._role, key)
        self._check_form(fields, f"{kind} {record.id.key} {request_id}")
        at = f"/console/requests/{request_id}"
        if self.door.acting.is_asked(request_id):
            return self._to(at, asked="before")
        found = plan(self._ledger, record, kind, fields.get("lease"))
        if found.request_id != request_id or found.is_moot:
            raise MessageInstead("changed", HTTPStatus.CONFLICT, f"/console/authorizations/{key}")
        assert self.person is not None  # noqa: S101 -- checked before any page is shown
        try:
            is_new = self.door.acting.ask(self.person, found, fields)
        except Refusal as refusal:
            return self._confirm(found, fields, refusal)
        return self._to(at) if is_new else self._to(at, asked="before")

    def decide(self, kind: str) -> Response:
        """The braked list is released, or dropped."""
        self._check_may_act()
        assert self.person is not None  # noqa: S101 -- as above
        if not self.person.sees_all:
            raise MessageInstead("may_not", HTTPStatus.FORBIDDEN)
        fields = fields_of(self.request.get_data())
        digest = fields.get("digest", "")
        self._check_form(fields, f"{kind} {digest}")
        trail, release = self.door.acting.trail, kind == "release"
        try:
            decide(self._ledger, trail, digest, self.person.name, release=release)
        except NoSuchBrake:
            return self.brakes(self.words("brake_gone"))
        return self._to("/console/brakes", done="released" if release else "dropped")

    # Answers -------------------------------------------------------------------------------------

    def message(self, told: MessageInstead) -> Response:
        """A message in the place of a page."""
        name = told.name
        how = self.words.maybe(f"{name}_how", "")
        lines = [self.words(name), how] if how else [self.words(name)]
        frame, link = self._frame(), None
        if name == "not_signed_in" and self.door.settings.sign_in_url:
            link = (self.door.settings.sign_in_url, self.words("sign_in"))
        if told.link:
            link = (frame.url(told.link), self.words("look_again"))
        title = self.words(f"title_{name}")
        return self._page("message", told.status, title=title, lines=lines, link=link)

    def refused(self, refusal: Refusal) -> Response:
        """A refusal in the place of a page."""
        if refusal.code == "not_found":
            return self.message(MessageInstead("not_found", HTTPStatus.NOT_FOUND))
        status = _status(refusal)
        title = self.words("title_refused")
        lines = self._why(refusal)
        return self._page("message", status, title=title, lines=lines, link=None)

    def _why(self, refusal: Refusal) -> tuple[str, str]:
        told = Problem(code=refusal.code, message=refusal.detail, remedy=refusal.remedy)
        return self.words.why(told)

    def _confirm(
        self, of: Plan, fields: Mapping[str, str] | None = None, refusal: Refusal | None = None
    ) -> Response:
        problem, status = None, HTTPStatus.OK
        if refusal is not None:
            status = _status(refusal)
            problem = (*self._why(refusal), refusal.code)
        ecr = self.door.registry.ecrs.get(of.record.id.ecr_id)
        return self._page(
            "confirm",
            status,
            plan=of,
            problem=problem,
            fields=fields or {},
            by_hand=ecr.by_hand if ecr else "wait",
            until=usual_end(self.now).isoformat(),
            token=self._token(of.what),
        )

    def _page(self, template: str, code: HTTPStatus = HTTPStatus.OK, /, **view: Any) -> Response:
        text = page(template, self._frame(), **view)
        answer = Response(text, code, HEADERS, content_type="text/html; charset=utf-8")
        if self._told == self.words.language:
            answer.set_cookie(
                words.COOKIE,
                self.words.language,
                max_age=_YEAR,
                path=self.door.settings.base or "/",
                secure=self.door.settings.url.startswith("https:"),
                httponly=True,
                samesite="Lax",
            )
        return answer

    def _to(self, path: str, **query: str) -> Response:
        address = self._frame().url(path, **query)
        answer = Response("", HTTPStatus.SEE_OTHER, {**HEADERS, "Location": address})
        answer.autocorrect_location_header = False
        return answer

    # What is checked, and known ------------------------------------------------------------------

    @property
    def _ledger(self) -> Ledger:
        return self.door.looking.ledger

    @property
    def _role(self) -> ConsoleRole:
        assert self.person is not None  # noqa: S101 -- no page is shown to nobody
        assert self.person.role is not None  # noqa: S101 -- nor to who has no role
        return self.person.role

    def _frame(self) -> Frame:
        return Frame(
            base=self.door.settings.base,
            words=self.words,
            person=self.person,
            registry=self.door.registry,
            now=self.now,
            path=self.request.path.rstrip("/") if self.request.method == "GET" else "/console",
            query=self.query if self.request.method == "GET" else {},
        )

    def _check_may_act(self) -> None:
        if self.person is None or not self.person.may_act:
            raise MessageInstead("may_not", HTTPStatus.FORBIDDEN)

    def _token(self, what: str) -> str:
        return self.door.forms.token(self.person.subject, what, self.now) if self.person else ""

    def _check_form(self, fields: Mapping[str, str], what: str) -> None:
        assert self.person is not None  # noqa: S101 -- as above
        token = fields.get("token", "")
        self.door.forms.check(self.headers, token, self.person.subject, what, self.now)


def _status(refusal: Refusal) -> HTTPStatus:
    return HTTPStatus(STATUS.get(refusal.code, (422, ""))[0])


def _created(record: Authorization) -> datetime | None:
    """When the first lease began that is remembered."""
    return min((one.since for one in record.leases if one.since is not None), default=None)
