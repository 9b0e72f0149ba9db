"""A world read from YAML, with the line of a mistake; policies may stand in files of their own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from localcloud import ram, stacks, yamlfile
from localcloud.ros import Template, TemplateError
from localcloud.world import Model, World, WorldError
from localcloud.yamlfile import At

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.yamlfile import Place

_LARGEST: Final = 8 * 1024 * 1024
_PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z_]+)\}")


def load(path: Path) -> World:
    """The world in the file at `path`.

    A `trust` or an element of `policies` is a RAM policy, or `{file: policy.json, with: {NAME:
    value}}`: the document in that file (beside the world file) with each `${NAME}` replaced.
    An account's `stacks` are made of ROS templates (also beside the world file) before all else.

    Raises:
        WorldError: With the file, the line and the reason.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise WorldError(f"{path}: larger than {_LARGEST} bytes")
        document, root = yamlfile.read(path.read_text("utf-8"))
    except OSError as error:
        raise WorldError(f"{path}: {error.strerror}") from None
    except WorldError:
        raise
    except ValueError as error:
        raise WorldError(f"{path}: {error}") from None
    try:
        _with_policies(document, path)
        wanted = _stacks(document)
        world = World.model_validate(document)
        for place, number, stack in wanted:
            _make(stack, world, number, path, place)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        lines = [_at(path, root, one["loc"], one["msg"]) for one in faults]
        raise WorldError("\n".join(lines)) from None
    except At as error:
        raise WorldError(_at(path, root, error.place, str(error))) from None
    _check_whole(world, path)
    return world


def _at(path: Path, root: Any, place: Place, reason: str) -> str:
    return f"{path}:{yamlfile.line(root, place)}: {yamlfile.dotted(place, 'world')}: {reason}"


class _Stack(Model):
    """A stack as a world file has it."""

    template: str
    parameters: dict[str, str] = {}  # noqa: RUF012 -- pydantic copies it
    region: str | None = None
    name: str = "stack"


def _stacks(document: Any) -> list[tuple[Place, int, _Stack]]:
    """Every stack of the document, taken out of it: its place, its account's number."""
    found: list[tuple[Place, int, _Stack]] = []
    accounts = document.get("accounts") if isinstance(document, dict) else None
    for number, account in enumerate(_list(accounts)):
        given = account.pop("stacks", []) if isinstance(account, dict) else []
        for index, one in enumerate(_list(given)):
            place: Place = ("accounts", number, "stacks", index)
            try:
                found.append((place, number, _Stack.model_validate(one)))
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                raise At((*place, *first["loc"]), first["msg"]) from None
    return found


def _make(stack: _Stack, world: World, number: int, path: Path, place: Place) -> None:
    account = world.accounts[number]
    region = stack.region or world.regions[0]
    try:
        template = Template.load(path.parent / stack.template)
        made = template.create(
            stack.parameters, account_uid=account.uid, region=region, name=stack.name
        )
        stacks.put(made, account, region)
    except (TemplateError, stacks.StackError) as error:
        raise At(place, str(error)) from None


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
                place: Place = ("accounts", number, kind, which)
                policies = _list(holder.get("policies"))
                for index, policy in enumerate(policies):
                    policies[index] = _policy(
                        policy, path, (*place, "policies", index), trust=False
                    )
                if "trust" in holder:
                    holder["trust"] = _policy(holder["trust"], path, (*place, "trust"), trust=True)


def _policy(given: Any, path: Path, place: Place, *, trust: bool) -> Any:
    if isinstance(given, dict) and "file" in given:
        values = given.get("with") or {}
        text = _text(path.parent / str(given["file"]), place)
        missing = set(_PLACEHOLDER.findall(text)) - values.keys()
        if missing:
            raise At(place, f"{given['file']} needs `with: {min(missing)}`")
        try:
            given = json.loads(_PLACEHOLDER.sub(lambda one: str(values[one[1]]), text))
        except ValueError:
            raise At(place, "the policy file is not JSON") from None
    try:
        ram.check(given, trust=trust)
    except ram.PolicyError as error:
        raise At(place, str(error)) from None
    return given


def _text(path: Path, place: Place) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise At(place, f"{path.name}: {error.strerror}") from None


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
