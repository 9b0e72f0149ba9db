"""Intake: requests a second and how long one takes, in process and over localcloud's HTTP trigger.

The queue is localcloud's in a process of its own, so that its work is not counted; beside it stands
what one would write by hand: verify by the library, check the JSON, send by the SDK, answer.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from base64 import b64encode
from contextlib import contextmanager
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import yaml
from mns.account import Account
from mns.queue import Message
from standardwebhooks.webhooks import Webhook

from benchmarks.asking import Times, http_event
from benchmarks.served import served
from benchmarks.table import ROOT, Row
from functions.intake import handler as intake
from shared.log import logged
from simulation.wire.system import ENVIRON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNT = 400
USER = ("LTAI-demo-ticketing", "demo-ticketing-secret")  # of demo/world.yaml
SECRET = "whsec_" + b64encode(b"network-desk-secret-canary!").decode()
TOKEN = "ecr_token-of-the-benchmark"  # noqa: S105 -- made up
GRANT = json.loads((ROOT / "events" / "requests" / "grant_vpc.json").read_text())


def measure() -> list[Row]:
    """POST and GET on one instance, beside a bare script; the same over HTTP."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "registry.yaml").write_text(yaml.safe_dump(_registry()))
        with _running(folder) as url:
            bare = _Bare(url)
            function = intake.build(_environ(url, folder))
            answer = logged(function.answer)
            with contextlib.redirect_stdout(io.StringIO()):
                for number in range(20):  # warm
                    answer(_posted(f"W-{number}"), None)
                    bare.post(_posted(f"V-{number}"))
                post = _timed(lambda one: _expect(answer(_posted(f"R-{one}"), None), 202))
                by_hand = _timed(lambda one: bare.post(_posted(f"B-{one}")))
                get = _timed(lambda one: _expect(answer(_got(f"R-{one}"), None), 200))
                bad = [_posted(str(one), bad=True) for one in range(COUNT)]
                refused = _timed(lambda one: _expect(answer(bad[one], None), 401))
            function.house.close()
            http = _over_http(url)
    rows = [
        Row(
            "intake: POST /requests on one instance",
            "ms",
            post.percent(50),
            by_hand.percent(50),
            None,
            f"{post.rate:.0f} a second, {post.note()}; bare: {by_hand.rate:.0f} a second, "
            f"{by_hand.note()}, with no idempotency, ledger, scope, policy or pace",
        )
    ]
    others = {
        "GET /requests/{id}": get,
        "a signature that is none": refused,
        "POST over HTTP, with the stand-in's FC and queue": http,
    }
    for what, times in others.items():
        note = f"{times.rate:.0f} a second, {times.note()}"
        rows.append(Row(f"intake: {what}", "ms", times.percent(50), times.percent(50), None, note))
    return rows


class _Bare:
    """What one would write by hand."""

    def __init__(self, url: str) -> None:
        self._queue = Account(url, *USER).get_queue("ecr-requests")
        self._queue.set_encoding(False)

    def post(self, event: bytes) -> dict[str, Any]:
        document = json.loads(event)
        body = Webhook(SECRET).verify(document["body"], document["headers"])
        self._queue.send_message(Message(json.dumps(body)))
        return {"statusCode": 202, "body": json.dumps({"request_id": body["request_id"]})}


def _environ(url: str, folder: Path) -> dict[str, str]:
    return {
        "ALIBABA_CLOUD_ENDPOINT_MNS": url,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": USER[0],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": USER[1],
        "FC_ACCOUNT_ID": "1000200030004000",
        "FC_REGION": "cn-hangzhou",
        "LEDGER_URL": f"sqlite:///{folder}/ledger.db",
        "REGISTRY_FILE": str(folder / "registry.yaml"),
        "WEBHOOK_SECRETS": json.dumps({"network-desk": [SECRET]}),
    }


def _registry() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "registry.yaml").read_text())
    found["senders"]["network-desk"]["per_minute"] = 6000
    found["readers"]["network-team"]["token_sha256"] = [sha256(TOKEN.encode()).hexdigest()]
    return found


def _signed(body: str, webhook_id: str) -> dict[str, str]:
    now = datetime.now(timezone.utc)
    return {
        "Webhook-Id": webhook_id,
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Webhook(SECRET).sign(webhook_id, now, body),
        "Content-Type": "application/json",
    }


def _posted(request_id: str, *, bad: bool = False) -> bytes:
    body = json.dumps({**GRANT, "request_id": request_id})
    headers = _signed(body, f"msg_{request_id}")
    if bad:
        headers["Webhook-Id"] = "msg_another"
    return http_event("POST", "/requests", headers, body=body)


def _got(request_id: str) -> bytes:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return http_event("GET", f"/requests/{request_id}", headers)


def _timed(call: Callable[[int], object]) -> Times:
    each = []
    for number in range(COUNT):
        started = time.perf_counter()
        call(number)
        each.append(time.perf_counter() - started)
    return Times(each)


def _expect(answer: dict[str, Any], status: int) -> None:
    assert answer["statusCode"] == status, answer["body"]


def _over_http(url: str) -> Times:
    """One client, one connection, through the HTTP trigger into an instance of its own."""
    body = {number: json.dumps({**GRANT, "request_id": f"H-{number}"}) for number in range(COUNT)}
    with requests.Session() as session:

        def post(number: int) -> None:
            headers = _signed(body[number], f"msg_h{number}")
            answer = session.post(
                f"{url}/_http/ecr-intake/requests", body[number], headers=headers, timeout=20
            )
            assert answer.status_code == 202, answer.text

        post(0)  # the cold start
        return _timed(post)


@contextmanager
def _running(folder: Path) -> Iterator[str]:
    """Localcloud with the shipped s.yaml, whose triggers of queues are off."""
    deployment = yaml.safe_load((ROOT / "s.yaml").read_text())
    for resource in deployment["resources"].values():
        props = resource["props"]
        props["triggers"] = [one for one in props["triggers"] if one["triggerType"] == "http"]
        if props["functionName"] == "ecr-intake":
            props["environmentVariables"]["REGISTRY_FILE"] = str(folder / "registry.yaml")
    (folder / "s.yaml").write_text(yaml.safe_dump(deployment))
    options = ("--s-yaml", str(folder / "s.yaml"), "--code", str(ROOT))
    environ = {
        "LEDGER_URL": f"sqlite:///{folder}/http.db",
        "EXTERNAL_ID_KEY": ENVIRON["EXTERNAL_ID_KEY"],
        "WEBHOOK_SECRETS": json.dumps({"network-desk": [SECRET]}),
    }
    with served(ROOT / "demo" / "world.yaml", *options, environ=environ) as url:
        yield url
