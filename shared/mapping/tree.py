"""A mapping's tree: the shape of a document, its leaves JMESPath expressions over another one.

EXPRESSION                          what it finds; where it finds nothing, the field is left out
{$from: EXPRESSION, $table: NAME}   what it finds, looked up in one of the file's `tables`
{$from: EXPRESSION, $time: NAME}    a time in one of the file's `times`, made into ours
{$from: EXPRESSION, $write: NAME}   a time of ours, written in one of them
{$each: EXPRESSION, $item: TREE}    a list: TREE for each, over {item: the one, ticket: the whole}
{$when: EXPRESSION, field: …}       left out as a whole where it finds nothing, or false
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from jmespath.exceptions import JMESPathError, JMESPathTypeError

from shared.mapping.functions import OPTIONS, NotJson
from shared.mapping.times import NoTime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.mapping.times import TimeForm
    from shared.yamlfile import Place

MOST_ITEMS: Final = 100
_HUGE: Final = 10**18


class Misfit(Exception):
    """A field cannot be made of what was posted: which, from what, and why; without its value."""

    def __init__(self, place: Place, source: str, reason: str) -> None:
        super().__init__(f"{shown(place)}, from `{source}`: {reason}")
        self.place = place


class Node(Protocol):
    """A part of a tree."""

    @property
    def source(self) -> str:
        """The expression that it is made from."""

    def made(self, document: Any, place: Place) -> Any:
        """What it comes to, None where nothing is found. Raises Misfit."""


@dataclass(frozen=True)
class Leaf:
    """An expression, compiled."""

    source: str
    compiled: Any

    def made(self, document: Any, place: Place) -> Any:
        """What the expression finds."""
        try:
            return self.compiled.search(document, OPTIONS)
        except NotJson as error:
            raise Misfit(place, self.source, str(error)) from None
        except JMESPathTypeError as error:  # its text holds the value
            reason = f"{error.function_name} cannot take what was found"
            raise Misfit(place, self.source, reason) from None
        except (JMESPathError, ArithmeticError, ValueError, TypeError, RecursionError, LookupError):
            raise Misfit(place, self.source, "it cannot be worked out") from None


@dataclass(frozen=True)
class LookedUp:
    """What an expression finds, as a table translates it."""

    leaf: Leaf
    name: str
    table: Mapping[str, Any]

    @property
    def source(self) -> str:
        """The expression."""
        return self.leaf.source

    def made(self, document: Any, place: Place) -> Any:
        """The table's value; `*` stands for whatever else was found, nothing included."""
        found = self.leaf.made(document, place)
        key = found if isinstance(found, str) else _spelt(found)
        if key is not None and key in self.table:
            return self.table[key]
        if "*" in self.table:
            return self.table["*"]
        if found is None:
            return None
        known = ", ".join(sorted(self.table))
        raise Misfit(place, self.source, f"the table {self.name} has only {known}")


@dataclass(frozen=True)
class Timed:
    """A time that an expression finds, in another form."""

    leaf: Leaf
    form: TimeForm
    is_written: bool = False

    @property
    def source(self) -> str:
        """The expression."""
        return self.leaf.source

    def made(self, document: Any, place: Place) -> Any:
        """The time; an empty field tells none."""
        found = self.leaf.made(document, place)
        if found is None or found == "":
            return None
        try:
            if self.is_written:
                return self.form.write(datetime.fromisoformat(str(found).replace("Z", "+00:00")))
            return self.form.read(found).isoformat()
        except NoTime as error:
            raise Misfit(place, self.source, str(error)) from None
        except (ValueError, OverflowError):
            raise Misfit(place, self.source, "not a time") from None


@dataclass(frozen=True)
class Each:
    """A list, made from a list."""

    leaf: Leaf
    item: Node

    @property
    def source(self) -> str:
        """The expression that finds the list."""
        return self.leaf.source

    def made(self, document: Any, place: Place) -> Any:
        """An entry for each thing found."""
        found = self.leaf.made(document, place)
        if found is None:
            return None
        if not isinstance(found, list) or len(found) > MOST_ITEMS:
            raise Misfit(place, self.source, f"not a list of {MOST_ITEMS} at most")
        return [
            self.item.made({"item": one, "ticket": document}, (*place, number))
            for number, one in enumerate(found)
        ]


@dataclass(frozen=True)
class Branch:
    """Fields."""

    fields: Mapping[str, Node]
    when: Leaf | None = None

    @property
    def source(self) -> str:
        """What it is made under."""
        return self.when.source if self.when else "its fields"

    def made(self, document: Any, place: Place) -> Any:
        """The fields that were found; nothing where none was."""
        if self.when is not None and not self.when.made(document, place):
            return None
        made = {name: node.made(document, (*place, name)) for name, node in self.fields.items()}
        return {name: value for name, value in made.items() if value is not None} or None


@dataclass(frozen=True)
class Row:
    """A list whose entries stand in the mapping itself."""

    entries: tuple[Node, ...]

    @property
    def source(self) -> str:
        """Nothing single."""
        return "its entries"

    def made(self, document: Any, place: Place) -> Any:
        """The entries that were found."""
        made = [one.made(document, (*place, number)) for number, one in enumerate(self.entries)]
        return [one for one in made if one is not None]


def _spelt(found: Any) -> str | None:
    """A value of JSON as a table has it; one that none can have (a list, a huge number) is None."""
    if isinstance(found, bool):
        return str(found).lower()
    is_small = isinstance(found, int) and abs(found) < _HUGE
    return str(found) if is_small or isinstance(found, float) else None


def named(node: Node, place: Place = ()) -> Iterator[Place]:
    """The place of every field that a tree may make, without the numbers of lists."""
    if isinstance(node, Branch):
        for name, field in node.fields.items():
            yield (*place, name)
            yield from named(field, (*place, name))
    elif isinstance(node, Each):
        yield from named(node.item, place)


def at(node: Node | None, place: Place) -> Node | None:
    """The node that makes the field at `place`; what is inside of a leaf is the leaf's doing."""
    if not place:
        return node
    if isinstance(node, Branch):
        return at(node.fields.get(str(place[0])), place[1:])
    if isinstance(node, Each):
        return at(node.item, place[1:] if isinstance(place[0], int) else place)
    if isinstance(node, Row):
        inside = isinstance(place[0], int) and place[0] < len(node.entries)
        return at(node.entries[int(place[0])], place[1:]) if inside else None
    return node


def shown(place: Place) -> str:
    """The place as people write it."""
    return ".".join(map(str, place)) or "request"
