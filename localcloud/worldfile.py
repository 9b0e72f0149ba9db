"""A world read from YAML, with the line of a mistake; policies may stand in files of their own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from localcloud import ram
from localcloud.world import World, WorldError

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST: Final = 8 * 1024 * 1024
_PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z_]+)\}")


def load(path: Path) -> World:
    """The world in the file at `path`.

    A `trust` or an element of `policies` is a RAM policy, or `{file: policy.json, with: {NAME:
    value}}`: the document in that file (beside the world file) with each `${NAME}` replaced.

    Raises:
        WorldError: With the file, the line and the reason.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise WorldError(f"{path}: larger than {_LARGEST} bytes")
        root = yaml.compose(path.read_text("utf-8"), Loader=_Loader)
        document = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 -- it is a SafeLoader
    except OSError as error:
        raise WorldError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise WorldError(f"{path}: {error}") from None
    try:
        _with_policies(document, path)
        world = World.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        lines = [
            f"{path}:{_line(root, one['loc'])}: {_name(one['loc'])}: {one['msg']}" for one in faults
        ]
        raise WorldError("\n".join(lines)) from None
    except _PolicyAt as error:
        raise WorldError(
            f"{path}:{_line(root, error.place)}: {_name(error.place)}: {error}"
        ) from None
    _check_whole(world, path)
    return world


class _PolicyAt(ValueError):
    def __init__(self, place: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.place = place


class _Loader(yaml.SafeLoader):
    """YAML without aliases: a world is written out, and no bomb hides in it."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)


def _with_policies(document: Any, path: Path) -> None:
    """Every policy of the document stands in it, checked."""
    if not isinstance(document, dict):
        return
    for number, account in enumerate(_list(document.get("accounts"))):
        if not isinstance(account, dict):
            continue
        for kind in ("users", "roles"):
            for which, holder in enumerate(_list(account.get(kind))):
                if not isinstance(holder, dict):
                    continue
                place: tuple[str | int, ...] = ("accounts", number, kind, which)
                policies = _list(holder.get("policies"))
                for index, policy in enumerate(policies):
                    policies[index] = _policy(
                        policy, path, (*place, "policies", index), trust=False
                    )
                if "trust" in holder:
                    holder["trust"] = _policy(holder["trust"], path, (*place, "trust"), trust=True)


def _policy(given: Any, path: Path, place: tuple[str | int, ...], *, trust: bool) -> Any:
    if isinstance(given, dict) and "file" in given:
        values = given.get("with") or {}
        text = _text(path.parent / str(given["file"]), place)
        missing = set(_PLACEHOLDER.findall(text)) - values.keys()
        if missing:
            raise _PolicyAt(place, f"{given['file']} needs `with: {min(missing)}`")
        try:
            given = json.loads(_PLACEHOLDER.sub(lambda one: str(values[one[1]]), text))
        except ValueError:
            raise _PolicyAt(place, "the policy file is not JSON") from None
    try:
        ram.check(given, trust=trust)
    except ram.PolicyError as error:
        raise _PolicyAt(place, str(error)) from None
    return given


def _text(path: Path, place: tuple[str | int, ...]) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise _PolicyAt(place, f"{path.name}: {error.strerror}") from None


def _check_whole(world: World, path: Path) -> None:
    """What no single entry shows: ids that are there twice, regions that are not."""
    seen: set[str] = set()
    for account in world.accounts:
        ids = [one.id for one in account.vpcs] + [one.id for one in account.vbrs]
        for name in [account.uid, *ids, *(one.id for one in account.ecrs)]:
            if name in seen:
                raise WorldError(f"{path}: {name} is there twice")
            seen.add(name)
        regions = {one.region for one in account.vpcs} | {one.region for one in account.vbrs}
        regions |= {one.region for one in account.queues} | {one.region for one in account.topics}
        for region in sorted(regions - set(world.regions)):
            raise WorldError(f"{path}: {region} of account {account.uid} is no region here")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _line(node: Any, place: tuple[str | int, ...]) -> int:
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


def _name(place: tuple[str | int, ...]) -> str:
    return ".".join(map(str, place)) or "world"
