"""The doctor over 500 accounts B on localcloud: cloud, function and command in one process."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from benchmarks.served import told_by
from benchmarks.table import ROOT, Row
from ecrauth.__main__ import main
from shared.external_ids import ExternalIdKeys
from shared.onboarding import role_arn
from simulation.wire.system import ACCOUNT_A, ENVIRON, WireSystem, demo_world

ACCOUNTS = 500
TARGET_SECONDS = 60.0
REGIONS = ("cn-hangzhou", "ap-southeast-1", "cn-shanghai", "cn-beijing")
SETTINGS = ((1, False), (2, False), (2, True), (4, True))
"""In how many regions each account may ask, and whether its VBRs are enabled."""
_MODEL = "2000300040005000"
_FIRST = 5_000_000_000_000_000
_STS_PER_SECOND = 100


def measure() -> list[Row]:
    """How long it takes; beside it, how long STS's quota alone would make the same calls take."""
    return [_row(regions, has_vbr=has_vbr) for regions, has_vbr in SETTINGS]


def _row(regions: int, *, has_vbr: bool) -> Row:
    asked = (str(ACCOUNTS), str(regions), str(int(has_vbr)))
    found = told_by("-m", "benchmarks.doctor", *asked)
    note = (
        f"{found['assumed']} AssumeRole, at most "
        f"{found['busiest']} AssumeRole in one second of {_STS_PER_SECOND}; "
        f"{found['throttled']} throttled, {found['findings']} findings; "
        f"{found['cpu']:.0f} s CPU with localcloud and function; "
        f"bare: those calls at STS's full quota"
    )
    return Row(
        what=f"doctor over {ACCOUNTS} accounts B, {regions} regions{', VBRs' * has_vbr}",
        unit="s",
        ours=found["seconds"],
        bare=found["assumed"] / _STS_PER_SECOND,
        target=None,
        note=f"{note}; target: under {TARGET_SECONDS:.0f} s",
    )


def run(count: int, regions: int = 2, *, has_vbr: bool = False) -> dict[str, Any]:
    """One run over so many accounts."""
    uids = [str(_FIRST + number) for number in range(count)]
    with (
        tempfile.TemporaryDirectory() as folder,
        WireSystem(
            Path(folder),
            _world(uids, has_vbr=has_vbr),
            _registry(uids, REGIONS[:regions], has_vbr=has_vbr),
        ) as system,
    ):
        os.environ.update(_environment(system))
        out, began = StringIO(), time.monotonic()
        times, used = _counted(system), time.process_time()
        with redirect_stdout(out), redirect_stderr(StringIO()):
            code = main(["doctor", "--all", "--json"])
        seconds, cpu = time.monotonic() - began, time.process_time() - used
        told = json.loads(out.getvalue().splitlines()[-1])
    assert told["accounts"] == count
    return {
        "seconds": seconds,
        "cpu": cpu,
        "code": code,
        "assumed": len(times),
        "busiest": _busiest(times),
        "throttled": sum("Throttling" in (one.code or "") for one in system.cloud.journal),
        "findings": len(told["findings"]),
        "kinds": Counter(one["id"] for one in told["findings"]),
    }


def _counted(system: WireSystem) -> list[float]:
    """When STS was asked; the virtual clock is kept at the machine's time, for the quotas."""
    times: list[float] = []
    count = system.cloud.quotas.count

    def counted(account: str, action: str, operation: Any, _: float) -> None:
        now = time.time()
        if action == "AssumeRole":
            times.append(now)
        count(account, action, operation, now)

    system.cloud.quotas.count = counted  # type: ignore[method-assign]
    return times


def _busiest(times: list[float]) -> int:
    """The most calls within any one second."""
    most = start = 0
    for end, at in enumerate(times):
        while times[start] <= at - 1:
            start += 1
        most = max(most, end - start + 1)
    return most


def _world(uids: list[str], *, has_vbr: bool) -> Any:
    world = demo_world()
    world.regions = list(dict.fromkeys((*world.regions, *REGIONS)))
    model = next(one for one in world.accounts if one.uid == _MODEL)
    keys = ExternalIdKeys(SecretStr(ENVIRON["EXTERNAL_ID_KEY"]))
    for uid in uids:
        account = deepcopy(model)
        account.uid, account.vpcs, account.cross_account_vbr = uid, [], has_vbr
        role = account.roles[0]
        text = role.model_dump_json().replace(_MODEL, uid)
        trust = json.loads(text)["trust"]
        secret = keys.of(uid)[0].get_secret_value()
        trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] = [secret]
        role.trust, role.policies = trust, json.loads(text)["policies"]
        world.accounts.append(account)
    account_a = world.account(ACCOUNT_A)
    assert account_a is not None
    for role in account_a.roles:
        for statement in (one for policy in role.policies for one in policy["Statement"]):
            if role.name == "ecr-authorize" and "sts:AssumeRole" in statement["Action"]:
                statement["Resource"] = [role_arn(uid) for uid in uids]
    return world


def _registry(uids: list[str], regions: tuple[str, ...], *, has_vbr: bool) -> str:
    document = yaml.safe_load((ROOT / "registry.yaml").read_text())
    ecr_id = document["accounts"][_MODEL]["may"][0]["ecr_id"]
    document["accounts"] = {
        uid: {
            "name": f"account {uid}",
            "role_arn": role_arn(uid),
            "may": [{"ecr_id": ecr_id, "regions": list(regions)}],
            **({"cross_account_vbr": {"proof": "made up"}} if has_vbr else {}),
        }
        for uid in uids
    }
    kept = {name: document[name] for name in ("ecrs", "accounts")}  # no sender of another account
    return yaml.safe_dump(kept)


def _environment(system: WireSystem) -> dict[str, str]:
    given = {
        "FC_ACCOUNT_ID": ACCOUNT_A,
        "FC_REGION": "cn-hangzhou",
        "REGISTRY_FILE": str(system._registry),  # noqa: SLF001 -- the file it was given
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI-demo-operator",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "demo-operator-secret",
    }
    for service in ("MNS", "FC", "EXPRESSCONNECTROUTER", "STS", "VPC"):
        given[f"ALIBABA_CLOUD_ENDPOINT_{service}"] = system.local.url
    return given


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]] or [ACCOUNTS]
    print(json.dumps(run(*given[:2], has_vbr=bool(given[2:] and given[2]))))
