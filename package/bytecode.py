"""Bytecode of the runtime's own interpreter, so that no cold start compiles a module.

Function code is mounted read-only: what is not compiled here is compiled at every cold start.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_COMPILE: Final = Path(__file__).with_name("compiling.py")
_SECONDS: Final = 300


class DidNotRun(Exception):
    """What the runtime's interpreter was given failed there; the message is its last words."""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter of the runtime's version."""

    path: str

    def run(self, *arguments: str, given: str = "", cwd: Path | None = None) -> str:
        """What it prints, with nothing of this machine's installed packages.

        Raises:
            DidNotRun: It failed.
        """
        done = subprocess.run(
            [self.path, "-S", "-s", "-B", *arguments],
            input=given,
            cwd=cwd,
            env={"PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", "")},
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if done.returncode:
            raise DidNotRun(done.stderr[-2000:])
        return done.stdout

    @property
    def version(self) -> str:
        """Its version: `3.12.4`. Raises DidNotRun."""
        return self.run("-c", "import platform; print(platform.python_version())").strip()


def interpreter(runtime: str, environ: Mapping[str, str]) -> tuple[Interpreter | None, str]:
    """The interpreter for the runtime (`3.12`) and a sentence about it; None where none is at hand.

    `PYTHON_RUNTIME` names one; else `python3.12` on the path, or the one that runs this.
    """
    asked = environ.get("PYTHON_RUNTIME")
    candidates = [asked] if asked else [shutil.which(f"python{runtime}"), sys.executable]
    for path in filter(None, candidates):
        found = Interpreter(path)
        try:
            version = found.version
        except (OSError, DidNotRun):
            continue
        if version.startswith(f"{runtime}."):
            return found, f"bytecode of Python {version}"
    where = f"PYTHON_RUNTIME={asked}" if asked else f"python{runtime} on the path"
    return None, f"no bytecode: {where} is no Python {runtime}; set PYTHON_RUNTIME to one"


def compile_all(
    folder: Path, beside: Iterable[str], instead: Iterable[str], by: Interpreter
) -> None:
    """Every source has its bytecode: `beside` it, or `instead` of it.

    The bytecode says that it need not be compared with its source, so changed file times do no
    harm. All are compiled by one process in one order: what is shared between constants shows.

    Raises:
        DidNotRun: One of them could not be compiled.
    """
    lines = [f"beside\t{path}" for path in sorted(beside)]
    lines += [f"instead\t{path}" for path in sorted(instead)]
    by.run(str(_COMPILE), given="\n".join(lines), cwd=folder)
