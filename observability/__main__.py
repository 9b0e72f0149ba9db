"""`python -m observability`: writes stack.json from queries.yaml and alarms.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from observability.stack import stack
from shared import yamlfile

HERE = Path(__file__).parent
_MAX_BYTES = 256 * 1024


def read(name: str) -> dict[str, Any]:
    """One of the YAML files beside this one. Raises BadYaml, for what stands twice, too."""
    document: dict[str, Any] = yamlfile.read(HERE / f"{name}.yaml", _MAX_BYTES).document
    return document


def template() -> str:
    """The text of stack.json."""
    return json.dumps(stack(read("queries"), read("alarms")), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (HERE / "stack.json").write_text(template(), "utf-8")
