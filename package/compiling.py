"""Run by the runtime's interpreter: compiles the sources that are named on standard input."""

from __future__ import annotations

import importlib.util
import py_compile
import sys
import warnings
from pathlib import Path


def main() -> None:
    """Each line is `beside` or `instead`, a tab, and a source's path from the working directory."""
    warnings.simplefilter("ignore")  # of libraries about themselves
    for line in sys.stdin.read().splitlines():
        how, path = line.split("\t")
        target = f"{path}c" if how == "instead" else importlib.util.cache_from_source(path)
        py_compile.compile(
            path,
            target,
            dfile=path,
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        if how == "instead":
            Path(path).unlink()


if __name__ == "__main__":
    main()
