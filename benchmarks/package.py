"""Packages beside a plain `pip install --target` of the lock: size, and what a cold start costs.

A cold start is a new process that imports the handler and runs the initializer, by the interpreter
of the runtime, with nothing else installed. Function Compute mounts the code read-only, so bytecode
that is not there is not kept, either.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.table import ROOT, Row
from localcloud.fc import load
from package.__main__ import install, materials
from package.bytecode import interpreter
from package.deployed import functions
from package.folder import OURS, build
from simulation.wire.system import ACCOUNT_A, ENVIRON

if TYPE_CHECKING:
    from package.deployed import DeployedFunction

ROUNDS: Final = 5
_START: Final = """
import importlib, sys
sys.path.insert(0, ".")
path, name = sys.argv[1].split(" ")
getattr(importlib.import_module(path), name)(None)
"""
_KINDS: Final = ("compiled", "sources", "plain")


def measure() -> list[Row]:
    """Rows of every function: CPU and wall time of a cold start, and size, ours beside plain."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for function in functions(ROOT / "s.yaml"):
            rows += _rows(function, Path(scratch))
    return rows


def _rows(function: DeployedFunction, scratch: Path) -> list[Row]:
    by, said = interpreter(function.runtime, os.environ)
    if by is None:
        print(f"{function.name}: {said}", file=sys.stderr)
        return []
    site = scratch / f"site-{function.runtime}"
    plain = scratch / f"plain-{function.runtime}"
    if not plain.exists():
        install(site, function.runtime)
        shutil.copytree(site, plain)
        for name in OURS:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, plain / name, ignore=ignored)
        shutil.copy(ROOT / "registry.yaml", plain)
        shutil.copytree(ROOT / "mappings", plain / "mappings")
    compiled = build(function, materials(site, function.runtime, by), scratch / "compiled")
    sources = build(function, materials(site, function.runtime, None), scratch / "sources")
    folders = dict(zip(_KINDS, (compiled.folder, sources.folder, plain), strict=True))
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in _KINDS}
    for _ in range(ROUNDS):  # in turns, so that the machine's moods hit all
        for kind, folder in folders.items():
            taken[kind].append(_start(function, by.path, folder, scratch / "ledger.db"))
    cpu = {kind: median(one[0] for one in taken[kind]) * 1000 for kind in _KINDS}
    wall = {kind: median(one[1] for one in taken[kind]) * 1000 for kind in _KINDS}
    of = f"from the package of {function.name}"
    plain_size = sum(path.stat().st_size for path in plain.rglob("*") if path.is_file())
    note = f"without bytecode: {cpu['sources']:.0f} ms; {said}"
    return [
        Row(f"cold start {of}", "ms CPU", cpu["compiled"], cpu["plain"], 0.25, note),
        Row(
            f"cold start {of}",
            "ms wall",
            wall["compiled"],
            wall["plain"],
            0.25,
            f"without bytecode: {wall['sources']:.0f} ms",
        ),
        Row(
            f"size of the package of {function.name}",
            "MB",
            compiled.size / 1e6,
            plain_size / 1e6,
            0.40,
            f"{len(compiled.libraries)} libraries; without bytecode: {sources.size / 1e6:.1f} MB",
        ),
    ]


def _start(
    function: DeployedFunction, python: str, folder: Path, ledger: Path
) -> tuple[float, float]:
    """Seconds of CPU and of the clock, from the start of a process to its end."""
    environ = {**ENVIRON, "LEDGER_URL": f"sqlite:///{ledger}"}
    props = load(ROOT / "s.yaml", environ).functions[function.name]
    life = props.instanceLifecycleConfig
    hook = (life.initializer.handler if life.initializer else props.handler).rpartition(".")
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [python, "-S", "-s", "-B", "-c", _START, f"{hook[0].replace('/', '.')} {hook[2]}"],
        cwd=folder,
        env={
            **props.environmentVariables,
            "FC_ACCOUNT_ID": ACCOUNT_A,
            "FC_REGION": props.region,
            "FC_FUNCTION_NAME": props.functionName,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "not-used",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "not-used",
            "ALIBABA_CLOUD_SECURITY_TOKEN": "not-used",
        },
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return cpu, time.perf_counter() - started
