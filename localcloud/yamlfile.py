"""YAML read strictly, with the line of every place in it."""

from __future__ import annotations

from typing import Any

import yaml

Place = tuple[str | int, ...]


class At(ValueError):
    """What is wrong at a place of the document."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place = place


class _Loader(yaml.SafeLoader):
    """Without aliases (what stands here is written out, no bomb) and without a key given twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read(text: str) -> tuple[Any, Any]:
    """The document, and its nodes for `line`.

    Raises:
        ValueError: It is not YAML, or not the strict kind; says where.
    """
    try:
        return yaml.load(text, Loader=_Loader), yaml.compose(text, Loader=_Loader)  # noqa: S506 -- it is a SafeLoader
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        raise ValueError(str(error)) from None


def line(node: Any, place: Place) -> int:
    """The line of the innermost part of `place` that the file has."""
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == str(part)]
            if not found:
                break
            node = found[0]
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            node = node.value[part]
        else:
            break
    return int(node.start_mark.line) + 1 if node is not None else 1


def dotted(place: Place, root: str) -> str:
    """The place as people write it; `root` where it is the document itself."""
    return ".".join(map(str, place)) or root
