"""The clean-up over many authorizations on localcloud, beside asking every account for each.

Each size runs in a process of its own, so that its peak of memory is its own. The cloud is in the
same process: what is told is the growth beyond what stood before the run.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import structlog
import yaml

from benchmarks.table import ROOT, Row
from functions.wiring import House
from localcloud.ecr.state import Subject
from localcloud.world import Ecr
from shared.authorization import AssociationSeen, Authorization, GrantSeen, Lease
from shared.contract import AuthorizationId, read_request
from shared.converge import Step
from simulation.wire.system import ACCOUNT_A, WireSystem, demo_world

ECRS, ACCOUNTS = 20, 500
SIZES = (1_000, 10_000)
"""`python -m benchmarks.cleanup 100000` measures one more, in some minutes."""
_SAMPLE = 200
_MOST_INVOCATIONS = 200


def measure() -> list[Row]:
    """Calls for 1,000 authorizations, and CPU for each; beside the obvious script's."""
    rows = []
    for size in SIZES:
        found = _in_a_process(size)
        note = (
            f"{found['seconds']:.0f} s, {found['invocations']} invocations, memory grew by "
            f"{found['grown_mb']:.0f} MB to {found['peak_mb']:.0f} MB, cloud and all"
        )
        script = (size + ACCOUNTS) / size * 1000
        rows += [
            Row(
                what=f"clean-up of {size:,}: SDK calls for 1,000",
                unit="calls",
                ours=found["calls"] / size * 1000,
                bare=script,
                target=None,
                note=f"{note}; pages of the listings alone: {found['pages'] / size * 1000:.1f}",
            ),
            Row(
                what=f"clean-up of {size:,}: CPU for each",
                unit="ms",
                ours=found["cpu_seconds"] / size * 1000,
                bare=found["script_ms"],
                target=None,
                note="the script looks at one instance in its account; localcloud's CPU in both",
            ),
        ]
    return rows


def _in_a_process(size: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cleanup", str(size)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(size: int) -> dict[str, float]:
    """Fill the cloud and the ledger, then run the clean-up to its end."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder:
        world = demo_world()
        account = world.account(ACCOUNT_A)
        assert account is not None
        ids = [_id(number) for number in range(size)]
        account.ecrs = [Ecr(id=ecr_id) for ecr_id in sorted({of.ecr_id for of in ids})]
        with WireSystem(Path(folder), world, _registry(ids)) as system:
            _fill(system, ids)
            return _measured(system, size)


def _measured(system: WireSystem, size: int) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    system.cloud.journal.clear()
    wall, cpu, invocations, calls, pages = time.monotonic(), time.process_time(), 0, 0, 0
    outcome: Any = None
    while outcome is None and invocations < _MOST_INVOCATIONS:
        answer = system.clean()
        made = [entry.action for entry in system.cloud.journal if entry.product == "ecr"]
        calls += len(made)
        pages += sum(action != "DescribeExpressConnectRouter" for action in made)
        system.cloud.journal.clear()
        outcome, invocations = answer["outcome"], invocations + 1
        system.clock.advance(600)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert outcome == "observed"
    assert answer["seen"] == size
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "invocations": invocations,
        "calls": calls,
        "pages": pages,
        "grown_mb": peak - before,
        "peak_mb": peak,
        "script_ms": _script_ms(system),
    }


def _script_ms(system: WireSystem) -> float:
    """CPU of one look at one instance in its account, as the obvious script would take it."""
    document = json.loads((ROOT / "events" / "requests" / "grant_vpc.json").read_text())
    of = read_request(document).authorization
    function = system.built("ecr-authorize")
    look = function.worker.settler.actions[Step.LOOK_AT_GRANT]
    record = Authorization(id=of)
    look(record)  # the role is assumed once an account
    started = time.process_time()
    for _ in range(_SAMPLE):
        look(record)
    function.house.close()
    return (time.process_time() - started) / _SAMPLE * 1000


def _id(number: int) -> AuthorizationId:
    return AuthorizationId(
        ecr_id=f"ecr-bench{number % ECRS:04d}",
        ecr_owner_uid=ACCOUNT_A,
        instance_id=f"vpc-bench{number:07d}",
        instance_type="VPC",
        instance_region_id="cn-hangzhou",
        instance_owner_uid=f"{2_000_300_040_005_000 + number % ACCOUNTS}",
    )


def _registry(ids: list[AuthorizationId]) -> str:
    document = yaml.safe_load((ROOT / "registry.yaml").read_text())
    document["ecrs"] |= {of.ecr_id: {"owner_uid": ACCOUNT_A} for of in ids}
    return yaml.safe_dump(document)


def _fill(system: WireSystem, ids: list[AuthorizationId]) -> None:
    """Everything is granted, attached, and held by a lease of ten years."""
    house = House(system.environ("ecr-authorize") | _key(system), system.now)
    old = datetime.fromtimestamp(system.clock.now(), tz=timezone.utc) - timedelta(days=10)
    lease = Lease(id="L", ticket="L", since=old, expires_at=old + timedelta(days=3650))
    for of in ids:
        subject = Subject(
            of.ecr_id, of.ecr_owner_uid, of.instance_id, of.instance_type, of.instance_region_id
        )
        system.cloud.ecr.grant(subject, of.instance_owner_uid)
        system.cloud.ecr.associate(subject, of.instance_owner_uid)
        record = Authorization(
            id=of,
            leases=(lease,),
            grant=GrantSeen(state="present"),
            association=AssociationSeen(state="active", by_us=True),
        )
        house.ledger.put_authorization(record, 0)
    house.close()
    system.clock.advance(600)


def _key(system: WireSystem) -> dict[str, str]:
    key, secret = system.cloud.identity.root_key(ACCOUNT_A)
    return {"ALIBABA_CLOUD_ACCESS_KEY_ID": key, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
