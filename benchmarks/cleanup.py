"""The clean-up over many authorizations on localcloud, beside asking every account for each.

The function runs in a process of its own and talks to localcloud, in this one, over the wire. The
virtual clock moves between invocations only, so that the cloud's quotas hold. The obvious script
is measured at one instance and one account, and counted for all.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.served import told_by
from benchmarks.table import ROOT, Row
from functions.wiring import House
from localcloud.ecr.state import Subject
from localcloud.fc import credentials
from localcloud.world import Ecr
from shared.authorization import AssociationSeen, Authorization, GrantSeen, Lease
from shared.contract import AuthorizationId, read_request
from simulation.campaign import quiet
from simulation.wire.system import ACCOUNT_A, WireSystem, demo_world

if TYPE_CHECKING:
    from typing_extensions import Self

ECRS, ACCOUNTS = 20, 500
SIZES = (1_000, 10_000)
"""`python -m benchmarks.cleanup 100000` measures one more, in some minutes."""
_MOST_INVOCATIONS = 200
_BETWEEN_SECONDS = 600


def measure() -> list[Row]:
    """Calls for 1,000 authorizations, and CPU for each; beside the obvious script's."""
    rows = []
    for size in SIZES:
        found = told_by("-m", "benchmarks.cleanup", str(size))
        note = (
            f"{found['wall_seconds']:.1f} s, {found['invocations']} invocations, memory "
            f"{found['started_mb']:.0f} MB at the start, {found['peak_mb']:.0f} MB at its peak"
        )
        rows += [
            Row(
                what=f"clean-up of {size:,}: SDK calls for 1,000",
                unit="calls",
                ours=found["calls"] / size * 1000,
                bare=found["script_calls"] / size * 1000,
                target=None,
                note=f"{note}; pages of the listings alone: {found['pages'] / size * 1000:.1f}",
            ),
            Row(
                what=f"clean-up of {size:,}: CPU for each",
                unit="ms",
                ours=found["cpu_seconds"] / size * 1000,
                bare=found["script_cpu_seconds"] / size * 1000,
                target=None,
                note="the function's process alone; the script: 200 looks and 50 AssumeRole "
                "measured, counted for all",
            ),
        ]
    return rows


class Process:
    """The function in a process of its own; one invocation at a time."""

    def __init__(self, system: WireSystem) -> None:
        self._system = system
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.cleaner"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, function: str, **given: Any) -> dict[str, Any]:
        """What it answers, and what that took."""
        system, fc = self._system, self._system.cloud.fc
        name = {"cleanup": "ecr-cleanup", "script": "ecr-authorize"}[function]
        environ = system.environ(name) | credentials(fc.session(fc.props(name)))
        offset = system.clock.now() - time.time()
        asked = {"function": function, "environ": environ, "offset": offset, **given}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def run(size: int) -> dict[str, float]:
    """Fill the cloud and the ledger; run the clean-up to its end, and an audit's first step."""
    logging.disable(logging.CRITICAL)
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        world = demo_world()
        account = world.account(ACCOUNT_A)
        assert account is not None
        ids = [_id(number) for number in range(size)]
        account.ecrs = [Ecr(id=ecr_id) for ecr_id in sorted({of.ecr_id for of in ids})]
        with WireSystem(Path(folder), world, _registry(ids)) as system:
            _fill(system, ids)
            with Process(system) as process:
                script = process.run("script", key=_known_instance().key)
            with Process(system) as process:
                found = _measured(system, process, size)
                found |= _audited(process)
            return found | {
                "script_calls": size + ACCOUNTS,
                "script_cpu_seconds": (size * script["look_ms"] + ACCOUNTS * script["assume_ms"])
                / 1000,
            }


def _measured(system: WireSystem, process: Process, size: int) -> dict[str, float]:
    calls, took = Counter[str](), Counter[str]()
    outcome, invocations, answer, started = None, 0, {}, 0.0
    while outcome is None and invocations < _MOST_INVOCATIONS:
        system.cloud.journal.clear()
        answer = process.run("cleanup", payload="")
        started = started or answer["started_mb"]
        took.update({key: answer[key] for key in ("wall_seconds", "cpu_seconds")})
        calls.update(entry.action for entry in system.cloud.journal if entry.product == "ecr")
        outcome, invocations = answer["outcome"], invocations + 1
        system.clock.advance(_BETWEEN_SECONDS)
    assert outcome == "observed", answer
    assert answer["seen"] == size
    return {
        **took,
        "invocations": invocations,
        "calls": calls.total(),
        "pages": calls.total() - calls["DescribeExpressConnectRouter"],
        "started_mb": started,
        "peak_mb": answer["peak_mb"],
    }


def _audited(process: Process) -> dict[str, float]:
    """The first invocation of a full audit, beside the clean-up's next run."""
    answer = process.run("cleanup", payload='{"audit": true}')
    cpu = answer["cpu_seconds"]
    return {"audit_asked": answer["audit"]["asked"], "audit_and_run_cpu_seconds": cpu}


def _known_instance() -> AuthorizationId:
    document = json.loads((ROOT / "events" / "requests" / "grant_vpc.json").read_text())
    return read_request(document).authorization


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
