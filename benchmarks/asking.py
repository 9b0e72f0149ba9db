"""A function with an HTTP trigger as it is asked, and how long its answers took."""

from __future__ import annotations

import json
from dataclasses import dataclass

from benchmarks.table import ROOT


@dataclass
class Times:
    """How long each call took, in seconds."""

    each: list[float]

    @property
    def rate(self) -> float:
        """Calls a second, one after the other."""
        return len(self.each) / sum(self.each)

    def percent(self, part: int) -> float:
        """The time within which so many percent were done, in ms."""
        return sorted(self.each)[len(self.each) * part // 100] * 1000

    def note(self) -> str:
        """In words."""
        return f"p50 {self.percent(50):.1f} ms, p99 {self.percent(99):.1f} ms"


def http_event(
    method: str,
    path: str,
    headers: dict[str, str],
    *,
    body: str = "",
    query: dict[str, str] | None = None,
) -> bytes:
    """The event of a request."""
    sample = json.loads((ROOT / "events" / "http_post.json").read_text())
    sample |= {"rawPath": path, "headers": headers, "body": body, "queryParameters": query or {}}
    sample["requestContext"]["http"] |= {"method": method, "path": path}
    return json.dumps(sample).encode()
