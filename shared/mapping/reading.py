"""A mapping file read: what is wrong with it is refused with its line and the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import Field, ValidationError

from shared import yamlfile
from shared.contract import Approval, Bundle, Callback, Instance, Model, Request
from shared.mapping.functions import misuse
from shared.mapping.times import TimeForm
from shared.mapping.tree import Branch, Each, Leaf, LookedUp, Row, Timed, named

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf
    from pathlib import Path

    from shared.mapping.tree import Node
    from shared.yamlfile import Place, YamlFile

MAX_BYTES: Final = 256 * 1024
_FORMS: Final = (
    {"$from", "$table"},
    {"$from", "$time"},
    {"$from", "$write"},
    {"$each", "$item"},
)
_NOT_THE_PAYLOADS: Final = {"sender", "part_of"}
_PARTS: Final[dict[str, type[Model]]] = {
    "approval": Approval,
    "callback": Callback,
    "instances": Instance,
}


class BadMapping(ValueError):
    """A mapping file cannot be used: what is wrong, and on which line."""


class AnswerForm(Model):
    """How an answer is written to a system.

    Args:
        method: Of the HTTP request.
        body: Its JSON, a tree over the answer (docs/ticketing.md lists what an answer holds).
        accepted: Over the system's own answer, where its status alone does not say that it took it.
        passing: The same: it did not take it, and may take it later.
    """

    method: Literal["POST", "PUT", "PATCH"] = "POST"
    body: dict[str, Any]
    accepted: str | None = None
    passing: str | None = None


class MappingForm(Model):
    """What a mapping file says, before its trees are read."""

    title: str
    tables: dict[str, dict[str, str | None]] = Field(default_factory=dict)
    times: dict[str, TimeForm] = Field(default_factory=dict)
    request: dict[str, Any] | None = None
    answer: AnswerForm | None = None


class Reading:
    """One file, read as far as its trees; gathers what is wrong with them.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._faults: list[tuple[Place, str]] = []
        try:
            self._file: YamlFile = yamlfile.read(path, MAX_BYTES)
        except yamlfile.BadYaml as error:
            raise BadMapping(str(error)) from None
        try:
            self.form = MappingForm.model_validate(self._file.document)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False):
                self._faults.append((fault["loc"], fault["msg"]))
            self.check()
        if self.form.request is None and self.form.answer is None:
            self._faults.append(((), "it has neither request nor answer"))

    def check(self) -> None:
        """Raises BadMapping where anything was wrong."""
        if self._faults:
            raise BadMapping(self._file.told(self._faults, "mapping"))

    def request(self) -> Node | None:
        """The tree of the request; only fields that a ticket may fill."""
        if self.form.request is None:
            return None
        tree = self._tree(self.form.request, ("request",))
        for place in named(tree):
            if not _may_be_filled(place):
                self._faults.append((("request", *place), "no field that a ticket may fill"))
        return tree

    def answer_body(self) -> Node | None:
        """The tree of the answer's body."""
        if self.form.answer is None:
            return None
        return self._tree(self.form.answer.body, ("answer", "body"))

    def condition(self, name: Literal["accepted", "passing"]) -> Leaf | None:
        """What is asked of the system's own answer."""
        found = getattr(self.form.answer, name, None)
        return self._leaf(found, ("answer", name)) if found is not None else None

    def _tree(self, raw: Any, place: Place) -> Node:
        if isinstance(raw, str):
            return self._leaf(raw, place)
        if isinstance(raw, list):
            return Row(tuple(self._tree(one, (*place, at)) for at, one in enumerate(raw)))
        if not isinstance(raw, dict) or not all(isinstance(name, str) for name in raw):
            self._faults.append(
                (
                    place,
                    "an expression is a string: a fixed value is written '`true`' or \"'text'\"",
                )
            )
            return _NOTHING
        special = {name for name in raw if name.startswith("$")}
        if special - {"$when"}:
            return self._special(raw, place)
        when = self._leaf(raw["$when"], (*place, "$when")) if special else None
        fields = {
            name: self._tree(one, (*place, name)) for name, one in raw.items() if name != "$when"
        }
        return Branch(fields, when)

    def _special(self, raw: MappingOf[str, Any], place: Place) -> Node:
        if raw.keys() not in _FORMS:
            self._faults.append((place, "$ goes with: " + "; ".join(_spelt(one) for one in _FORMS)))
            return _NOTHING
        if "$each" in raw:
            leaf = self._leaf(raw["$each"], (*place, "$each"))
            return Each(leaf, self._tree(raw["$item"], (*place, "$item")))
        leaf = self._leaf(raw["$from"], (*place, "$from"))
        if "$table" in raw:
            name = raw["$table"]
            table = self._known(self.form.tables, name, (*place, "$table"), "table")
            return LookedUp(leaf, str(name), table or {})
        key = "$time" if "$time" in raw else "$write"
        form = self._known(self.form.times, raw[key], (*place, key), "time")
        return Timed(leaf, form, is_written=key == "$write") if form else _NOTHING

    def _known(self, among: MappingOf[str, Any], name: object, place: Place, what: str) -> Any:
        found = among.get(name) if isinstance(name, str) else None
        if found is None:
            self._faults.append((place, f"the file declares no {what} of that name"))
        return found

    def _leaf(self, text: object, place: Place) -> Leaf:
        if not isinstance(text, str):
            self._faults.append((place, "an expression is a string"))
            return _NOTHING
        try:
            compiled = jmespath.compile(text)
        except JMESPathError as error:
            told = " ".join(str(error).split("\n")[0].split())
            self._faults.append((place, f"not JMESPath: {told}"))
            return _NOTHING
        wrong = misuse(compiled.parsed)
        if wrong:
            self._faults.append((place, wrong))
        return Leaf(text, compiled)


_NOTHING: Final = Leaf("`null`", jmespath.compile("`null`"))


def _may_be_filled(place: Place) -> bool:
    name = str(place[0])
    fields = (Request.model_fields.keys() | Bundle.model_fields.keys()) - _NOT_THE_PAYLOADS
    if len(place) == 1:
        return name in fields
    part = _PARTS.get(name)
    return part is not None and len(place) == 2 and place[1] in part.model_fields  # noqa: PLR2004


def _spelt(names: set[str]) -> str:
    return " and ".join(sorted(names))
