"""Released versions: their schemas and samples, and whether the version says what has changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from contracts.compat import Change, changes
from contracts.schemas import MODELS, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).parent
RELEASED: Final = HERE / "released"
EVENTS: Final = HERE.parent / "events"

Version = tuple[int, int]


class NotReleasable(ValueError):
    """The version is not what the changes need, or is released already."""


def version(text: str) -> Version:
    """`1.1` as numbers. Raises ValueError."""
    major, minor = text.strip().split(".")
    return int(major), int(minor)


def current() -> Version:
    """What contracts/VERSION says."""
    return version((HERE / "VERSION").read_text())


def released() -> list[Version]:
    """Every released version, the oldest first."""
    return sorted(version(folder.name) for folder in RELEASED.iterdir() if folder.is_dir())


def folder(of: Version) -> Path:
    """Where a released version is kept."""
    return RELEASED / f"{of[0]}.{of[1]}"


def schemas_of(of: Version) -> dict[str, Any]:
    """The schemas of a released version, by their names."""
    suffix = ".schema.json"
    found = sorted(folder(of).glob(f"*{suffix}"))
    return {path.name.removesuffix(suffix): json.loads(path.read_text()) for path in found}


def changed_since(of: Version, now: dict[str, Any]) -> Iterator[tuple[str, Change]]:
    """What has changed in each schema since a released version."""
    before = schemas_of(of)
    for name, old in before.items():
        for change in changes(old, now[name], MODELS[name][1]):
            yield name, change


def wrong(stated: Version, versions: list[Version], now: dict[str, Any]) -> list[str]:
    """Why the stated version does not say what has changed; empty where it does.

    Args:
        stated: The version that the current schemas are to have.
        versions: The released ones.
        now: The current schemas, by their names.
    """
    found = []
    for one in versions:
        if one > stated:
            found.append(f"{_text(one)} is released, and VERSION says {_text(stated)}")
            continue
        for name, change in changed_since(one, now):
            if one == stated:
                found.append(f"{name}: {change.difference}; {_text(one)} is released: raise it")
            elif change.weight == "major" and one[0] == stated[0]:
                found.append(f"{name}: {change.difference}; breaks who works with {_text(one)}")
    return found


def release() -> Path:
    """The current schemas and samples are kept as the version that VERSION says.

    Raises:
        NotReleasable: It is released already, or is not what the changes need.
    """
    to = folder(current())
    faults = wrong(current(), released(), {name: schema(name) for name in MODELS})
    if to.exists():
        faults.append(f"{to.name} is released already")
    if faults:
        raise NotReleasable("; ".join(faults))
    samples = to / "samples"
    (samples / "requests").mkdir(parents=True)
    (samples / "results").mkdir()
    for name in MODELS:
        shutil.copy(HERE / f"{name}.schema.json", to)
    for path in sorted((EVENTS / "requests").glob("*.json")):
        if path.stem != "malformed":
            shutil.copy(path, samples / "requests")
    for path in sorted(EVENTS.glob("result_*.json")):
        shutil.copy(path, samples / "results")
    return to


def _text(of: Version) -> str:
    return f"{of[0]}.{of[1]}"
