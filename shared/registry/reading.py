"""registry.yaml read: what is wrong is refused with its line and the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from shared import yamlfile
from shared.registry.contradictions import Contradiction
from shared.registry.model import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from shared.yamlfile import Place

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
        file = yamlfile.read(path, MAX_BYTES)
    except yamlfile.BadYaml as error:
        raise BadRegistry(str(error)) from None
    try:
        return Registry.model_validate(file.document)
    except ValidationError as error:
        raise BadRegistry(file.told(_faults(error)[:_MOST_FAULTS], "registry")) from None


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
