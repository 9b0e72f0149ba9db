"""YAML read strictly: nothing hidden, nothing twice, and the line of every place in it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

Place = tuple[str | int, ...]


class BadYaml(ValueError):
    """A file that is not the strict YAML that is read here: what is wrong, and on which line."""


@dataclass(frozen=True)
class YamlFile:
    """A file as it was read.

    Args:
        name: Its name, without its folder.
        text: What it says.
        document: The same as plain values.
    """

    name: str
    text: str
    document: Any

    def told(self, faults: list[tuple[Place, str]], whole: str) -> str:
        """What is wrong with it, a line for each fault: file, line, place, reason.

        Args:
            faults: The place of each, and the reason.
            whole: What the file is called where no place in it is at fault.
        """
        root = yaml.compose(self.text, Loader=_StrictLoader)
        return "\n".join(
            f"{self.name}:{_line(root, place)}: {'.'.join(map(str, place)) or whole}: {reason}"
            for place, reason in faults
        )


def read(path: Path, max_bytes: int) -> YamlFile:
    """The YAML file at `path`.

    Raises:
        BadYaml: It is missing, too large, not YAML, or holds what is not allowed.
    """
    try:
        if path.stat().st_size > max_bytes:
            raise BadYaml(f"{path.name} is larger than {max_bytes} bytes")
        text = path.read_text("utf-8")
        _check_letters(text, path.name)
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 -- it is a SafeLoader
    except BadYaml:
        raise
    except OSError as error:
        raise BadYaml(f"{path.name} cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise BadYaml(f"{path.name}:{line}: not the YAML it should be: {error.problem}") from None
    # Beside its own errors, PyYAML lets through those of the values that it makes.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadYaml(f"{path.name} is not the YAML it should be: {error}") from None
    return YamlFile(path.name, text, document)


def _check_letters(text: str, name: str) -> None:
    """Raises BadYaml for what a reader cannot see or takes for something else.

    That is control characters, marks that turn the direction of writing, spaces that are none.
    """
    for number, line in enumerate(text.split("\n"), 1):
        for letter in line.removesuffix("\r"):
            kind = unicodedata.category(letter)
            if kind[0] == "C" or (kind[0] == "Z" and letter != " "):
                raise BadYaml(f"{name}:{number}: U+{ord(letter):04X} has no place here")


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
