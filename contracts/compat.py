"""What a change of a schema means to those who work with the one before. Pure.

Two questions, each asked of old and new:

accepted    is every document that was taken still taken?   (old within new)
emitted     is every document that is sent one that the old schema foresees? (new within old)

A break is `major`. What an old consumer can pass over (a new property, a new word of a list, when
it keeps to the rule that what it does not know is not its own) is `minor`.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.schemas import Way

Schema = Any
Weight = Literal["major", "minor"]

_NOTES: Final = frozenset(
    {"title", "description", "default", "examples", "$id", "$schema", "$defs", "$comment"}
)
_LOWER: Final = ("minLength", "minItems", "minimum", "exclusiveMinimum", "minProperties")
_UPPER: Final = ("maxLength", "maxItems", "maximum", "exclusiveMaximum", "maxProperties")
_KNOWN: Final = frozenset(
    {"$ref", "anyOf", "oneOf", "type", "enum", "const", "pattern", "format", "required",
     "properties", "additionalProperties", "items", *_LOWER, *_UPPER}
)  # fmt: skip
_EVERY_TYPE: Final = frozenset({"string", "number", "boolean", "array", "object", "null"})
_PASSED_OVER: Final = frozenset({"property", "word", "open"})


@dataclass(frozen=True)
class Difference:
    """One document that one schema has and the other has not.

    Args:
        path: Where in the document.
        kind: `type`, `word` (of an enum), `pattern`, `limit`, `required`, `property`, `open`,
            `dropped`, `unknown`.
        what: In words.
    """

    path: str
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.path or '(the document)'}: {self.what}"


@dataclass(frozen=True)
class Change:
    """A difference, and which part of the version it needs raised."""

    weight: Weight
    difference: Difference


def changes(old: Schema, new: Schema, way: Way) -> list[Change]:
    """What has changed for who works with `old`; empty where only notes have.

    Args:
        old: The schema of a released version.
        new: The schema as it is now.
        way: Whether its documents are accepted or emitted by us.
    """
    if way == "accepted":
        broken, added = beyond(old, new), beyond(new, old)
        return [Change("major", one) for one in broken] + [Change("minor", one) for one in added]
    found = [
        Change("minor" if one.kind in _PASSED_OVER else "major", one) for one in beyond(new, old)
    ]
    gone = set(dropped(old, new))
    found += [Change("major", one) for one in sorted(gone, key=str)]
    found += [Change("minor", one) for one in beyond(old, new) if one.kind != "property"]
    return found


def beyond(inner: Schema, outer: Schema) -> list[Difference]:
    """Where `inner` has documents that `outer` has not."""
    return list(dict.fromkeys(_Comparison(inner, outer).beyond(inner, outer, "")))


def dropped(old: Schema, new: Schema) -> Iterator[Difference]:
    """Properties that `old` describes and `new` does not."""
    before, after = _properties(old), _properties(new)
    for path in sorted(before - after):
        if path.rpartition("/")[0] in after | {""}:
            yield Difference(path, "dropped", "the property is gone")


class _Comparison:
    """Compares parts of two documents, which refer to their own `$defs`."""

    def __init__(self, inner: Schema, outer: Schema) -> None:
        self._roots = (inner, outer)
        self._under_way: set[tuple[int, int]] = set()

    def beyond(self, inner: Schema, outer: Schema, path: str) -> Iterator[Difference]:
        """Where a part of the one goes beyond a part of the other."""
        one, other = _resolved(self._roots[0], inner), _resolved(self._roots[1], outer)
        pair = (id(one), id(other))
        if pair in self._under_way:
            return
        self._under_way.add(pair)
        try:
            yield from self._compared(one, other, path)
        finally:
            self._under_way.discard(pair)

    def _compared(self, one: Schema, other: Schema, path: str) -> Iterator[Difference]:
        if "anyOf" in one or "oneOf" in one:
            for branch in _branches(one):
                yield from self.beyond(branch, other, path)
            return
        if "anyOf" in other or "oneOf" in other:
            yield from self._in_some_branch(one, other, path)
            return
        unknown = {
            name
            for name in (one.keys() | other.keys()) - _KNOWN - _NOTES
            if one.get(name) != other.get(name)
        }
        for name in sorted(unknown):
            yield Difference(path, "unknown", f"{name} differs, which cannot be compared")
        yield from _values(one, other, path)
        yield from _limits(one, other, path)
        if "object" in _types(one) & _types(other):
            yield from self._objects(one, other, path)
        if "array" in _types(one) & _types(other) and "items" in other:
            yield from self.beyond(one.get("items", {}), other["items"], f"{path}/[]")

    def _in_some_branch(self, one: Schema, other: Schema, path: str) -> Iterator[Difference]:
        """It is within one branch; else what keeps it from the nearest one is told."""
        found = [list(self.beyond(one, branch, path)) for branch in _branches(other)]
        if all(found):
            yield from min(found, key=lambda list_: (list_[0].kind == "type", len(list_)))

    def _objects(self, one: Schema, other: Schema, path: str) -> Iterator[Difference]:
        mine, theirs = one.get("properties", {}), other.get("properties", {})
        for name in sorted(set(other.get("required", ())) - set(one.get("required", ()))):
            yield Difference(f"{path}/{name}", "required", "it may be left out in one, not both")
        rest = other.get("additionalProperties", True)
        for name in sorted(mine):
            where = f"{path}/{name}"
            if name in theirs:
                yield from self.beyond(mine[name], theirs[name], where)
            elif rest is False:
                yield Difference(where, "property", "only one of them has it")
            elif isinstance(rest, dict):
                yield from self.beyond(mine[name], rest, where)
        if one.get("additionalProperties", True) is not False and rest is False:
            yield Difference(path, "open", "any other property may be there in one")


def _values(one: Schema, other: Schema, path: str) -> Iterator[Difference]:
    words, others = _words(one), _words(other)
    if words is None and others is not None:
        yield Difference(path, "type", "it is a word of a list in one alone")
    elif words is not None and others is not None:
        for word in sorted(words - others):
            yield Difference(path, "word", f"{word} is in one list alone")
    for kind in sorted(_types(one) - _types(other)):
        if not (kind == "integer" and "number" in _types(other)):
            yield Difference(path, "type", f"it may be of type {kind} in one alone")
    wanted = other.get("pattern")
    if wanted is not None and one.get("pattern") != wanted and not _all_match(words, wanted):
        yield Difference(path, "pattern", "the patterns differ")
    if "format" in other and one.get("format") != other["format"]:
        yield Difference(path, "pattern", "the formats differ")


def _limits(one: Schema, other: Schema, path: str) -> Iterator[Difference]:
    if _words(one) is not None:
        return
    for names, is_within in ((_LOWER, operator.ge), (_UPPER, operator.le)):
        for name in names:
            if name in other and not (name in one and is_within(one[name], other[name])):
                yield Difference(path, "limit", f"{name} is tighter in one: {other[name]}")


def _types(part: Schema) -> frozenset[str]:
    given = part.get("type")
    if given is None:
        words = part.get("enum", [part["const"]] if "const" in part else None)
        return _EVERY_TYPE if words is None else frozenset({_type_of(word) for word in words})
    return frozenset([given] if isinstance(given, str) else given)


def _type_of(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return "null" if value is None else names.get(type(value), "object")


def _words(part: Schema) -> set[str] | None:
    if "const" in part:
        return {repr(part["const"])}
    return {repr(word) for word in part["enum"]} if "enum" in part else None


def _all_match(words: set[str] | None, pattern: str) -> bool:
    if words is None:
        return False
    try:
        return all(re.search(pattern, word[1:-1]) for word in words)
    except re.error:
        return False


def _branches(part: Schema) -> list[Schema]:
    found: list[Schema] = [*part.get("anyOf", ()), *part.get("oneOf", ())]
    return found


def _resolved(root: Schema, part: Schema) -> Schema:
    """The part itself, or what it refers to; `true` has every document."""
    while isinstance(part, dict) and "$ref" in part:
        found = root
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return {} if part is True else part


def _properties(root: Schema) -> set[str]:
    """The path of every property that is described, however deep; each definition once a way."""
    found: set[str] = set()

    def walk(part: Schema, path: str, seen: tuple[str, ...]) -> None:
        reference = part.get("$ref") if isinstance(part, dict) else None
        if reference in seen:
            return
        seen = (*seen, reference) if reference else seen
        known = _resolved(root, part)
        for branch in _branches(known):
            walk(branch, path, seen)
        for name, inner in known.get("properties", {}).items():
            found.add(f"{path}/{name}")
            walk(inner, f"{path}/{name}", seen)
        if isinstance(known.get("items"), dict):
            walk(known["items"], f"{path}/[]", seen)

    walk(root, "", ())
    return found
