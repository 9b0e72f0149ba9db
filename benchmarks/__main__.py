"""`python -m benchmarks`: measure, show a table, write benchmarks/results.json."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict

from benchmarks import (
    backlog,
    cleanup,
    cold_start,
    console,
    doctor,
    intake,
    ledger,
    package,
    requests,
)
from benchmarks.table import ROOT, show


def main() -> int:
    """Measure all; 0 also where a target is missed: a number is no failure."""
    rows = []
    parts = {
        "cold start": cold_start.measure,
        "packages (some minutes)": package.measure,
        "requests": requests.measure,
        "intake": intake.measure,
        "the console": console.measure,
        "ledger": ledger.measure,
        "a backlog (a minute)": backlog.measure,
        "the clean-up (a minute)": cleanup.measure,
        "the doctor (a minute)": doctor.measure,
    }
    for name, measure in parts.items():
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rows += measure()
    show(rows)
    document = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "rows": [{**asdict(row), "ratio": row.ratio, "is_met": row.is_met} for row in rows],
    }
    path = ROOT / "benchmarks" / "results.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    print(f"written to {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
