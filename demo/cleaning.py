"""The demo's second act: what nobody takes away by hand."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from localcloud.ecr.state import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from demo.desk import Desk
    from localcloud.server import LocalCloud

REQUESTS = Path(__file__).parents[1] / "events" / "requests"
LEASE_SECONDS = 6
LONGEST_SECONDS = 30
STRAY = Subject(
    ecr_id="ecr-hz7core4qk2m1",
    ecr_owner_uid="1000200030004000",
    instance_id="vpc-bp1labor0bench",
    instance_type="VPC",
    instance_region_id="cn-hangzhou",
)
STRAY_OWNER = "4000500060007000"
EXPECTED = {"stale_not_attached": 1, "unmanaged": 1}


def show(local: LocalCloud, desk: Desk, console: Console) -> list[str]:
    """Play it; gives what did not become as it must."""
    console.print("\nThe clean-up: a grant made by hand 40 days ago, and a lease of 6 seconds\n")
    granted = local.cloud.ecr.grant(STRAY, STRAY_OWNER)
    granted.created_at -= timedelta(days=40).total_seconds()
    lease = json.loads((REQUESTS / "grant_vpc.json").read_text())
    end = datetime.now(timezone.utc) + timedelta(seconds=LEASE_SECONDS)
    lease |= {"request_id": "CHG-1020", "ticket": "CHG-1020", "expires_at": end.isoformat()}
    desk.post(lease)
    told: list[dict[str, Any]] = []
    wrong = []
    if not _until(told, desk, console, lambda one: one["outcome"] == "attached"):
        wrong.append("the lease was not attached")
    _clean(local)  # the first run after deployment only looks
    _clean(local)
    if not _until(told, desk, console, lambda one: one["outcome"] == "expiring"):
        wrong.append("nobody was warned")
    time.sleep(max(0.0, (end - datetime.now(timezone.utc)).total_seconds()))
    _clean(local)
    if not _until(told, desk, console, lambda one: one["outcome"] == "revoked"):
        wrong.append("the lease that was over was not ended")
    swept = [one for one in told if one["outcome"] == "swept"]
    console.print(_findings(swept))
    counts = swept[-1]["counts"] if swept else {}
    if {name: counts.get(name) for name in EXPECTED} != EXPECTED:
        wrong.append("what the clean-up found")
    return wrong


def _clean(local: LocalCloud) -> None:
    event = json.dumps({"triggerName": "by hand", "payload": ""}).encode()
    local.cloud.fc.invoke("ecr-cleanup", event)


def _until(
    told: list[dict[str, Any]],
    desk: Desk,
    console: Console,
    is_it: Callable[[dict[str, Any]], bool],
) -> bool:
    """Take results, and print them, until one is it."""
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        found = [event["data"] for event in desk.results(wait_seconds=1)]
        for data in found:
            told.append(data)
            about = f"{data.get('asked')} asked for" if data["outcome"] == "swept" else ""
            console.print(f"        {data['request_id']}  {data['outcome']}  {about}")
        if any(is_it(one) for one in found):
            return True
    return False


def _findings(swept: list[dict[str, Any]]) -> Table:
    """What the clean-up's runs have told."""
    table = Table(title="What the clean-up found", title_justify="left")
    for heading in ("run", "finding", "instance", "what it says"):
        table.add_column(heading)
    for run in swept:
        for one in run["findings"]:
            instance = one["key"].split(":")[1]
            table.add_row(run["request_id"], one["name"], instance, one["sentence"])
    return table
