"""Style and script: files of our own, under names that change with what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "assets"
_KINDS: Final = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """A file as it is served: its name with the hash of its text, what it is, what is in it."""

    name: str
    kind: str
    text: str


@cache
def assets() -> dict[str, Asset]:
    """Every file by its own name."""
    found = {}
    for file, kind in _KINDS.items():
        text = (_FOLDER / file).read_text("utf-8")
        stem, _, ending = file.partition(".")
        name = f"{stem}.{sha256(text.encode()).hexdigest()[:16]}.{ending}"
        found[file] = Asset(name, kind, text)
    return found


def served(name: str) -> Asset | None:
    """The file that is served under this name; None where there is none, or it was another one."""
    return next((one for one in assets().values() if one.name == name), None)
