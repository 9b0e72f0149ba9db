"""Bar charts: where each bar is, how high, and what stands at it. Pure; templates draw the SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.console.looking import Bar

WIDTH: Final = 640
HEIGHT: Final = 200
_TOP: Final = 24
_BOTTOM: Final = 28
_GAP: Final = 0.25


@dataclass(frozen=True)
class Drawn:
    """A bar in the chart's own units; `middle` is where its words are centred."""

    days: str
    count: int
    x: float
    y: float
    width: float
    height: float
    middle: float


def drawn(bars: Sequence[Bar]) -> tuple[Drawn, ...]:
    """The bars of a chart, the highest as high as there is room for."""
    most = max((bar.count for bar in bars), default=0) or 1
    slot = WIDTH / max(len(bars), 1)
    room = HEIGHT - _TOP - _BOTTOM
    found = []
    for number, bar in enumerate(bars):
        height = round(room * bar.count / most, 1)
        found.append(
            Drawn(
                days=bar.days,
                count=bar.count,
                x=round(slot * (number + _GAP / 2), 1),
                y=round(_TOP + room - height, 1),
                width=round(slot * (1 - _GAP), 1),
                height=height,
                middle=round(slot * (number + 0.5), 1),
            )
        )
    return tuple(found)
