"""The JMESPath functions that mappings may use beside the language's own.

from_json(TEXT)        the value of JSON that stands in a string; nothing for an empty string
split(TEXT, BY)        the parts of a text, without blanks around them, without empty ones
one_line(TEXT, MOST)   the text on one printable line of so many characters at most
shorten(TEXT, MOST)    the text, cut to so many characters
lower(TEXT)            the text in small letters

Each gives nothing for nothing, so that a field which a ticket leaves empty is left out.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final

import jmespath.functions
from jmespath.functions import signature
from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TEXT: Final[Any] = {"types": ["string", "null"]}
_NUMBER: Final[Any] = {"types": ["number"]}
_CUT: Final = "…"


class NotJson(ValueError):
    """A string that is to hold JSON and does not."""


class Functions(jmespath.functions.Functions):
    """JMESPath's functions and ours."""

    @signature(_TEXT)
    def _func_from_json(self, text: str | None) -> Any:
        if not text:
            return None
        try:
            return from_json(text, allow_inf_nan=False)
        except ValueError:
            raise NotJson("the string is not JSON") from None

    @signature(_TEXT, {"types": ["string"]})
    def _func_split(self, text: str | None, by: str) -> list[str] | None:
        if text is None or not by:
            return None
        return [part for one in text.split(by) if (part := one.strip())]

    @signature(_TEXT, _NUMBER)
    def _func_one_line(self, text: str | None, most: float) -> str | None:
        if text is None:
            return None
        shown = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text)
        return _cut(" ".join(shown.split()), most) or None

    @signature(_TEXT, _NUMBER)
    def _func_shorten(self, text: str | None, most: float) -> str | None:
        return None if text is None else _cut(text, most)

    @signature(_TEXT)
    def _func_lower(self, text: str | None) -> str | None:
        return None if text is None else text.lower()


OPTIONS: Final = jmespath.Options(custom_functions=Functions())


def misuse(parsed: Mapping[str, Any]) -> str | None:
    """What is wrong with the functions that a compiled expression calls. JMESPath looks later."""
    for name, given in _calls(parsed):
        known = Functions.FUNCTION_TABLE.get(name)
        if known is None:
            return f"there is no function {name}"
        takes = known["signature"]
        is_variadic = bool(takes) and bool(takes[-1].get("variadic"))
        if given < len(takes) or (given > len(takes) and not is_variadic):
            return f"{name} takes {len(takes)}{' or more' if is_variadic else ''}, not {given}"
    return None


def _calls(node: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    if node["type"] == "function_expression":
        yield node["value"], len(node["children"])
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _calls(child)


def _cut(text: str, most: float) -> str:
    return text if len(text) <= most else text[: max(int(most) - 1, 0)] + _CUT
