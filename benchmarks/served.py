"""Processes of their own: localcloud while something is measured, and what measures by itself."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.table import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def told_by(*arguments: str, timeout: float | None = None) -> dict[str, Any]:
    """The JSON on the last line that Python prints with these arguments; waits so many seconds."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=timeout,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def served(world: Path, *options: str, environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """The URL of a localcloud with this world, on a free port, with more options and environment.

    Where it is given an environment it runs functions, whose log lines are not shown.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "localcloud", "up", "--world", str(world), "--port", "0", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if environ else None,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})},
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        yield found.group()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
