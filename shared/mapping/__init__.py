"""What a ticketing system posts, made into a request, and an answer made into what it takes.

One file a system, `mappings/NAME.yaml`: a new system is a new file. Checked when it is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from shared.contract import BadMessage, Bundle, Request, request_id_of, the_first
from shared.mapping.reading import BadMapping, Reading
from shared.mapping.tree import Misfit, at, shown

if TYPE_CHECKING:
    from pathlib import Path

    from shared.mapping.tree import Leaf, Node
    from shared.yamlfile import Place

__all__ = ["Answer", "BadMapping", "Mapping", "Unmapped", "load", "read"]

_SUFFIX: Final = ".yaml"


class Unmapped(BadMessage):
    """A payload of which no request can be made: each field at fault, from which expression, why.

    The values found there are not repeated.
    """


@dataclass(frozen=True)
class Answer:
    """An answer as it is sent: how, and its JSON."""

    method: str
    body: Any


@dataclass(frozen=True)
class Mapping:
    """One system's mapping; `load` makes it.

    Args:
        name: The file's name, by which registry.yaml and callbacks speak of it.
        title: The system's name as people write it.
    """

    name: str
    title: str
    asks: Node | None
    tells: Node | None
    method: str
    accepted: Leaf | None
    passing: Leaf | None

    def request(self, payload: Any) -> dict[str, Any]:
        """The document of the request that `payload` is, or of the bundle where it names several.

        Raises:
            Unmapped: It is none: which field, from which expression, what was found to be wrong.
        """
        if self.asks is None:
            raise Unmapped(f"{self.name} only takes answers")
        try:
            made = self.asks.made(payload, ()) or {}
        except Misfit as misfit:
            raise Unmapped(f"{self.name}: {misfit}") from None
        document = _of_one(made)
        if isinstance(document.get("callback"), dict):
            document["callback"].setdefault("system", self.name)
        model = Bundle if "instances" in document else Request
        try:
            model.model_validate_json(to_json(document))
        except PydanticSerializationError:
            raise Unmapped(f"{self.name}: a field holds what is no JSON in UTF-8") from None
        except ValidationError as error:
            raise Unmapped(self._in_words(error), request_id_of(document)) from None
        return document

    def answer(self, told: dict[str, Any]) -> Answer:
        """What is sent, made from an answer's document.

        Raises:
            Misfit: It cannot be made.
        """
        if self.tells is None:
            raise Misfit((), "answer", f"{self.name} has no answer")
        return Answer(self.method, self.tells.made(told, ("answer", "body")) or {})

    def _in_words(self, error: ValidationError) -> str:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        lines = [self._fault(one["loc"], one["type"], one["msg"]) for one in faults]
        return f"{self.name}: {the_first(lines)}"

    def _fault(self, place: Place, kind: str, message: str) -> str:
        asks = self.asks
        node = (at(asks, place) or at(asks, ("instances", *place))) if place else None
        if node is None:
            return f"{shown(place)}: {'the mapping does not fill it' if _gone(kind) else message}"
        reason = "nothing was found there" if _gone(kind) else message
        return str(Misfit(place, node.source, reason))


def load(folder: Path) -> dict[str, Mapping]:
    """The mappings in a folder, by their names.

    Raises:
        BadMapping: The folder or a file of it cannot be used; a line for each mistake of a file.
    """
    if not folder.is_dir():
        raise BadMapping(f"{folder.name} is no folder of mappings")
    return {path.stem: read(path) for path in sorted(folder.glob(f"*{_SUFFIX}"))}


def read(path: Path) -> Mapping:
    """The mapping in one file.

    Raises:
        BadMapping: It cannot be used: a line for each mistake.
    """
    reading = Reading(path)
    mapping = Mapping(
        name=path.stem,
        title=reading.form.title,
        asks=reading.request(),
        tells=reading.answer_body(),
        method=reading.form.answer.method if reading.form.answer else "POST",
        accepted=reading.condition("accepted"),
        passing=reading.condition("passing"),
    )
    reading.check()
    return mapping


def _of_one(made: dict[str, Any]) -> dict[str, Any]:
    """A ticket that lists one instance is a request; only more of them are a bundle."""
    instances = made.get("instances")
    if not isinstance(instances, list) or len(instances) != 1:
        return dict(made)
    one = instances[0] if isinstance(instances[0], dict) else {}
    kept = {name: value for name, value in made.items() if name not in ("instances", "mode")}
    return {**kept, **one}


def _gone(kind: str) -> bool:
    return kind == "missing"
