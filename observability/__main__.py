"""`python -m observability`: writes stack.json from queries.yaml and alarms.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from observability.stack import stack

HERE = Path(__file__).parent


def read(name: str) -> dict[str, Any]:
    """One of the YAML files beside this one."""
    document: dict[str, Any] = yaml.safe_load((HERE / f"{name}.yaml").read_text("utf-8"))
    return document


def template() -> str:
    """The text of stack.json."""
    return json.dumps(stack(read("queries"), read("alarms")), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (HERE / "stack.json").write_text(template(), "utf-8")
