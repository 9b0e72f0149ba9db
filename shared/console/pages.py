"""HTML from what was looked up: pure functions of it, by templates that escape everything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from shared.console.assets import assets
from shared.contract import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.console.people import Person
    from shared.console.words import Words
    from shared.registry import Registry

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # A form's Origin would be "null" with no-referrer.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Cookie, Accept-Language",
}
"""What goes with every page."""
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
"""What shows nothing, or turns around what stands beside it."""


@dataclass(frozen=True)
class Frame:
    """What every page has beside its own.

    Args:
        base: The path before `/console`.
        words: In the language of who is looking.
        person: Who that is; None where nobody has signed in.
        registry: The names of accounts and ECRs.
        now: The time.
        path: Of the page.
        query: Its query, without the language.
    """

    base: str
    words: Words
    person: Person | None
    registry: Registry
    now: datetime
    path: str
    query: Mapping[str, str]

    def url(self, path: str, **query: str | None) -> str:
        """The address of a page of ours."""
        given = {name: value for name, value in query.items() if value}
        tail = f"?{urlencode(given)}" if given else ""
        return self.base + quote(path, safe="/:") + tail

    def in_language(self, language: str) -> str:
        """The address of this page in another language."""
        return self.url(self.path, **{**self.query, "lang": language})

    def asset(self, name: str) -> str:
        """The address of a file."""
        return self.url(f"/console/assets/{assets()[name].name}")

    def account(self, uid: str) -> str:
        """An account's name, or nothing."""
        known = self.registry.accounts.get(uid)
        return known.name if known else ""

    def ecr(self, ecr_id: str) -> str:
        """An ECR's name, or nothing."""
        known = self.registry.ecrs.get(ecr_id)
        return (known.name or "") if known else ""


def page(template: str, frame: Frame, **view: Any) -> str:
    """The page.

    Args:
        template: Its name, without the ending.
        frame: What every page has.
        view: What this one shows.
    """
    found = _environment().get_template(f"{template}.html")
    return found.render(f=frame, t=frame.words, languages=LANGUAGES, **view)


def visible(value: Any) -> Any:
    """Text in which every character that hides, or turns others around, is written out."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", value)
    return value


def when(at: datetime | None, to: str = "second") -> str:
    """A time in UTC, to the second or the minute; a dash for none."""
    if at is None:
        return "\N{EN DASH}"
    utc = at.astimezone(timezone.utc)
    long = utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    short = utc.strftime("%Y-%m-%d %H:%M:%S" if to == "second" else "%Y-%m-%d %H:%M")
    return Markup('<time datetime="{}">{}</time>').format(long, short)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["when"] = when
    return made
