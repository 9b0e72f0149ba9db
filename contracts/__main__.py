"""`make contracts` writes the published documents; `python -m contracts release` keeps them."""

from __future__ import annotations

import json
import sys
from typing import Any

from contracts import asyncapi
from contracts.schemas import MODELS, schema
from contracts.versions import EVENTS, HERE, NotReleasable, current, release
from shared.intake import openapi


def documents() -> dict[str, dict[str, Any]]:
    """Every published document by its file's name."""
    version = ".".join(map(str, current()))
    found = {f"{name}.schema.json": schema(name) for name in MODELS}
    found["asyncapi.json"] = asyncapi.document(version, examples())
    found["openapi.json"] = openapi.document()
    return found


def examples() -> dict[str, list[tuple[str, Any]]]:
    """The sample documents of events/, by the message that each is an example of."""
    found: dict[str, list[tuple[str, Any]]] = {name: [] for name in MODELS}
    for path in sorted((EVENTS / "requests").glob("*.json")):
        sample = json.loads(path.read_text())
        if path.stem != "malformed":
            found["bundle" if "instances" in sample else "request"].append((path.stem, sample))
    for path in sorted(EVENTS.glob("result_*.json")):
        found["result"].append((path.stem, json.loads(path.read_text())))
    return found


def main(arguments: list[str]) -> int:
    """Write contracts/*.json; with `release`, keep them under contracts/released/, too."""
    for name, document in documents().items():
        (HERE / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
    if arguments == ["release"]:
        try:
            print(f"released: {release().relative_to(HERE.parent)}")  # noqa: T201
        except NotReleasable as error:
            print(f"not released: {error}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
