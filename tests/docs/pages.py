"""Every page of documentation, its headings as a code host anchors them, its links, its blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *(path for path in ROOT.glob("*/README.md") if not path.parent.name.startswith(".")),
    ]
)
_FENCE = re.compile(r"^( *)```([\w-]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, its language, its lines."""

    page: Path
    language: str
    text: str


def name(path):
    return str(path.relative_to(ROOT))


def blocks(path):
    return [Block(path, found[2], found[3]) for found in _FENCE.finditer(path.read_text())]


def links(path):
    return _LINK.findall(_FENCE.sub("", path.read_text()))


def anchors(path):
    """As GitHub makes them: lower case, punctuation dropped, blanks to hyphens, -1 for a second."""
    found = []
    for heading in re.findall(r"^#{1,6} (.+)$", _FENCE.sub("", path.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", heading).strip().lower()
        base = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = sum(one == base or re.fullmatch(rf"{base}-\d+", one) is not None for one in found)
        found.append(base if number == 0 else f"{base}-{number}")
    return found
