"""Writes the published JSON Schemas from the models that they describe."""

from __future__ import annotations

import json
from pathlib import Path

from shared.contract import Request, Result


def main() -> None:
    """Write contracts/*.schema.json."""
    for model in (Request, Result):
        path = Path(__file__).with_name(f"{model.__name__.lower()}.schema.json")
        path.write_text(json.dumps(model.model_json_schema(), indent=2) + "\n")


if __name__ == "__main__":
    main()
