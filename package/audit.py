"""`python -m package.audit`: known vulnerabilities of what is deployed, by pip-audit.

A database that cannot be asked is no reason to stop work: that is said, and no more is claimed. A
finding is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LOCK: Final = Path(__file__).parents[1] / "requirements" / "runtime.txt"
_SECONDS: Final = 120
_REASONS: Final = 3


@dataclass(frozen=True)
class Verdict:
    """What the audit came to.

    Args:
        text: What is to be read.
        is_bad: There is a finding.
    """

    text: str
    is_bad: bool = False


def audit(lock: Path, *options: str) -> Verdict:
    """The verdict on all that is in the lock; its hashes are required, nothing is installed."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), *options]
    command += ["--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json"]
    try:
        done = subprocess.run(
            [*command, "--timeout=10"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Verdict(f"skipped: the advisory service gave no answer in {_SECONDS} s")
    return verdict(done.stdout, done.stderr)


def verdict(output: str, errors: str) -> Verdict:
    """The verdict in pip-audit's own words; what it left out is no clean bill."""
    try:
        rows: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        if "hash" in last.lower():
            return Verdict(f"the lock cannot be audited: {last}", is_bad=True)
        return Verdict(f"skipped: the advisory service cannot be asked: {last[:300]}")
    findings = [
        f"{row['name']} {row['version']}: {one['id']}, "
        + (f"mended in {', '.join(one['fix_versions'])}" if one["fix_versions"] else "not mended")
        for row in rows
        for one in row.get("vulns", ())
    ]
    skipped = [row for row in rows if "skip_reason" in row]
    asked = f"{len(rows) - len(skipped)} of {len(rows)} libraries were looked up"
    if findings:
        return Verdict("\n".join([f"{asked}; known vulnerabilities:", *findings]), is_bad=True)
    if not skipped:
        return Verdict(f"{asked}; no known vulnerability")
    named = "; ".join(str(row["skip_reason"]) for row in skipped[:_REASONS])
    if len(skipped) == len(rows):
        return Verdict(f"skipped, nothing was looked up: {named}; …")
    return Verdict(f"{asked}, with no known vulnerability; not looked up: {named}")


def main() -> int:
    """1 where there is a finding."""
    found = audit(LOCK, *sys.argv[1:])
    sys.stdout.write(found.text + "\n")
    return int(found.is_bad)


if __name__ == "__main__":
    sys.exit(main())
