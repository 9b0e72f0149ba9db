"""CPU and SDK calls per request: the shipped functions beside a bare script of the same calls.

The cloud runs in a process of its own, so that its work is not counted.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import requests
import yaml

from benchmarks.bare import ACCOUNT_A, ACCOUNT_B, Bare
from benchmarks.served import served
from benchmarks.table import ROOT, Row
from functions.attach import handler as attach
from functions.authorize import handler as authorize
from shared.log import logged
from simulation.wire.system import ENVIRON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from functions.wiring import Function

ROUNDS = 9
A_ROUND = 12
USER = ("LTAI-benchmark", "benchmark-secret")
EXTERNAL_ID_KEY = ENVIRON["EXTERNAL_ID_KEY"]


def measure() -> list[Row]:
    """CPU per request of both functions, and their SDK calls, each beside the bare script."""
    with tempfile.TemporaryDirectory() as folder, cloud(Path(folder)) as url:
        environ = environment(url, Path(folder))
        clock = Clock()
        functions = {
            "authorize": authorize.build(environ, clock.now),
            "attach": attach.build(environ, clock.now),
        }
        bare = Bare(url, environ, EXTERNAL_ID_KEY)
        cpu: dict[str, list[tuple[float, float]]] = {"authorize": [], "attach": []}
        calls: dict[str, Counter[str]] = {}
        for number in range(ROUNDS + 1):  # the first round only warms up
            mine = [f"vpc-ours{number:03}x{one:03}" for one in range(A_ROUND)]
            theirs = [f"vpc-bare{number:03}x{one:03}" for one in range(A_ROUND)]
            start = time.time()
            ours = {
                "authorize": timed(
                    functions["authorize"], [request_event(one) for one in mine], clock
                )
            }
            between = time.time()
            granted = [result_event(one) for one in mine]
            # Once to associate, and once more as the delayed message that looks at it.
            ours["attach"] = timed(functions["attach"], granted + granted, clock)
            counted = {"authorize": _count(url, start, between), "attach": _count(url, between)}
            hand = {"authorize": _cpu(bare.authorize, theirs), "attach": _cpu(bare.attach, theirs)}
            for name in cpu if number else ():
                cpu[name].append((ours[name] / A_ROUND, hand[name] / A_ROUND))
            calls = counted
        for function in functions.values():
            function.house.close()
    return [row for name in cpu for row in _rows(name, cpu[name], calls[name])]


def _rows(name: str, cpu: list[tuple[float, float]], calls: Counter[str]) -> list[Row]:
    each = {action: count / A_ROUND for action, count in sorted(calls.items())}
    by_hand = Bare.CALLS[name]
    return [
        Row(
            what=f"CPU per request of {name}",
            unit="ms",
            ours=median(ours for ours, _ in cpu) * 1000,
            bare=median(bare for _, bare in cpu) * 1000,
            target=1.3,
            note="beside the same SDK calls in a row, with no ledger, log, policy or remedy",
        ),
        Row(
            what=f"SDK calls per request of {name}",
            unit="calls",
            ours=sum(each.values()),
            bare=len(by_hand),
            target=1.0,
            note=", ".join(f"{count:g} {action}" for action, count in each.items()),
        ),
    ]


def _count(url: str, since: float, until: float = float("inf")) -> Counter[str]:
    """The API calls of that time, by product and action."""
    calls = requests.get(f"{url}/_localcloud/calls", timeout=10).json()
    return Counter(
        f"{one['product']}:{one['action']}" for one in calls if since <= one["at"] < until
    )


def _cpu(work: Any, items: list[str]) -> float:
    before = time.process_time()
    for item in items:
        work(item)
    return time.process_time() - before


class Clock:
    """Ahead by two seconds more for each request: none of them has to wait for its turn."""

    ahead = timedelta()

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(timezone.utc) + self.ahead


def timed(function: Function, events: list[bytes], clock: Clock) -> float:
    """CPU seconds of one invocation for each event, its log lines written to nowhere."""
    handler = logged(function.answer)

    def invoke(event: bytes) -> None:
        clock.ahead += timedelta(seconds=2)
        handler(event, None)

    with contextlib.redirect_stdout(io.StringIO()):
        return _cpu(invoke, events)


# What there is to work on -------------------------------------------------------------------------


@contextmanager
def cloud(folder: Path) -> Iterator[str]:
    """The demo's accounts and enough VPCs, served by a process of its own; gives its URL."""
    world = yaml.safe_load((ROOT / "demo" / "world.yaml").read_text())
    account_b = next(one for one in world["accounts"] if one["uid"] == ACCOUNT_B)
    account_b["vpcs"] = [
        {"id": f"vpc-{kind}{number:03}x{one:03}", "region": "cn-hangzhou"}
        for kind in ("ours", "bare")
        for number in range(ROUNDS + 1)
        for one in range(A_ROUND)
    ]
    for account in world["accounts"]:
        for stack in account["stacks"]:
            stack["template"] = str(ROOT / "demo" / stack["template"])
    # One user stands for both functions' roles: policies cost the cloud time, not the caller.
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    account_a = next(one for one in world["accounts"] if one["uid"] == ACCOUNT_A)
    account_a["users"].append(
        {
            "name": "benchmark",
            "access_keys": [{"id": USER[0], "secret": USER[1]}],
            "policies": [{"Version": "1", "Statement": [{**everything}]}],
        }
    )
    external_id = account_b.pop("stacks")[0]["parameters"]["ExternalId"]
    account_b["roles"] = [
        {
            "name": "ecr-authorization",
            "policies": [{"Version": "1", "Statement": [{**everything}]}],
            "trust": trusting(external_id),
        }
    ]
    path = folder / "world.yaml"
    path.write_text(yaml.safe_dump(world))
    switches = ["quotas=false", "operation_seconds=0"]
    options = [word for one in switches for word in ("--switch", one)]
    with served(path, *options) as url:
        yield url


def trusting(external_id: str) -> dict[str, Any]:
    """The trust of account B's role for any user of account A that has the ExternalId."""
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"RAM": [f"acs:ram::{ACCOUNT_A}:root"]},
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    return {"Version": "1", "Statement": [statement]}


def environment(url: str, folder: Path) -> dict[str, str]:
    """What Function Compute and s.yaml set, with credentials of the functions' own."""
    products = ("STS", "VPC", "EXPRESSCONNECTROUTER", "MNS")
    return {
        **{f"ALIBABA_CLOUD_ENDPOINT_{product}": url for product in products},
        "ALIBABA_CLOUD_ACCESS_KEY_ID": USER[0],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": USER[1],
        "FC_ACCOUNT_ID": ACCOUNT_A,
        "FC_REGION": "cn-hangzhou",
        "QUEUE": "ecr-attachments",
        "DEAD_LETTER_QUEUE": "ecr-attachments-dead",
        "RESULT_TOPIC": "ecr-results",
        "LEDGER_URL": f"sqlite:///{folder}/ledger.db",
        "EXTERNAL_ID_KEY": EXTERNAL_ID_KEY,
        "REGISTRY_FILE": str(ROOT / "registry.yaml"),
    }


def request_event(vpc: str) -> bytes:
    """A grant for `vpc` as EventBridge hands it over."""
    request = json.loads((ROOT / "events" / "requests" / "grant_vpc.json").read_text())
    return _event({**request, "request_id": f"REQ-{vpc}", "instance_id": vpc})


def result_event(vpc: str) -> bytes:
    """Its result `granted` as EventBridge hands it over."""
    result = json.loads((ROOT / "events" / "result_granted.json").read_text())
    result["data"]["request_id"] = f"REQ-{vpc}"
    result["data"]["authorization"]["instance_id"] = vpc
    return _event(result)


def _event(body: dict[str, Any]) -> bytes:
    name = "eventbridge_requests.json"
    (element, *_) = json.loads((ROOT / "events" / name).read_text())
    element["data"]["messageBody"] = json.dumps(body)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    element["aliyunpublishtime"] = now
    return json.dumps([element]).encode()
