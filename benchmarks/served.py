"""localcloud in a process of its own, for as long as something is measured."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.table import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


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
