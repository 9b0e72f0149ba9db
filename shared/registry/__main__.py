"""`python -m shared.registry registry.yaml`: what is wrong with it; nothing where it is good."""

from __future__ import annotations

import sys
from pathlib import Path

from shared.registry import BadRegistry, load


def main(arguments: list[str]) -> int:
    """0 where every file is good, 1 where one is not, 2 where none is named."""
    if not arguments:
        sys.stderr.write("usage: python -m shared.registry registry.yaml\n")
        return 2
    bad = 0
    for name in arguments:
        try:
            load(Path(name))
        except BadRegistry as error:
            sys.stderr.write(f"{error}\n")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
