"""registry.yaml read: what is wrong is refused with its line and the reason."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from shared.registry.contradictions import Contradiction
from shared.registry.model import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from shared.registry.contradictions import Place

MAX_BYTES: Final = 4 * 1024 * 1024
_MOST_FAULTS: Final = 50


class BadRegistry(ValueError):
    """registry.yaml cannot be used: what is wrong, and on which line."""


def load(path: Path) -> Registry:
    """The registry in the file at `path`.

    Raises:
        BadRegistry: The file is missing, too large, not YAML, or breaks a rule; a line for each.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadRegistry(f"{path.name} is larger than {MAX_BYTES} bytes")
        text = path.read_text("utf-8")
        _check_letters(text, path.name)
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 -- it is a SafeLoader
    except OSError as error:
        raise BadRegistry(f"{path.name} cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise BadRegistry(
            f"{path.name}:{line}: not the YAML it should be: {error.problem}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadRegistry(f"{path.name} is not the YAML it should be: {error}") from None
    try:
        return Registry.model_validate(document)
    except ValidationError as error:
        faults = _faults(error)
        root = yaml.compose(text, Loader=_StrictLoader)
        lines = [
            f"{path.name}:{_line(root, place)}: {'.'.join(map(str, place)) or 'registry'}: {reason}"
            for place, reason in faults[:_MOST_FAULTS]
        ]
        raise BadRegistry("\n".join(lines)) from None


def _faults(error: ValidationError) -> list[tuple[Place, str]]:
    """Every fault with its place, those of single entries before what does not fit together."""
    found: list[tuple[Place, str]] = []
    for fault in error.errors(include_url=False, include_input=False):
        reason = fault.get("ctx", {}).get("error")
        if isinstance(reason, Contradiction):
            found += reason.all
        else:
            found.append((fault["loc"], fault["msg"]))
    return found


def _check_letters(text: str, name: str) -> None:
    """Raises BadRegistry for what a reader cannot see or takes for something else.

    That is control characters, marks that turn the direction of writing, spaces that are none.
    """
    for number, line in enumerate(text.split("\n"), 1):
        for letter in line.removesuffix("\r"):
            kind = unicodedata.category(letter)
            if kind[0] == "C" or (kind[0] == "Z" and letter != " "):
                raise BadRegistry(f"{name}:{number}: U+{ord(letter):04X} has no place here")


def _line(node: Any, place: Place) -> int:
    """The line of the innermost part of `place` that the file has."""
    line = 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return int(line)


class _StrictLoader(yaml.SafeLoader):
    """YAML without aliases (no bombs), merges, and keys given twice (no silent winner)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None,
                None,
                "aliases are not allowed",
                self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, "merges are not allowed", key_node.start_mark
                )
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
