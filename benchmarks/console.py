"""The console's list: a page of 50 out of 10,000 authorizations, beside one out of 100.

Each is asked of the function whole: the event, the token's signature, the ledger, the HTML.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import time
from datetime import datetime, timedelta, timezone
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from benchmarks.asking import Times, http_event
from benchmarks.table import ROOT, Row
from demo.signin import COOKIE, SignIn
from functions.intake import handler as intake
from shared.authorization import AssociationSeen, Authorization, GrantSeen, Lease
from shared.contract import AuthorizationId
from shared.ledger.sql import SqlLedger
from shared.log import logged

if TYPE_CHECKING:
    from collections.abc import Callable

MANY, FEW, TIMES = 10_000, 100, 60
NOW = datetime.now(timezone.utc)
LISTS: dict[str, dict[str, str]] = {
    "as it opens": {},
    "the soonest end first": {"sort": "end"},
    "of one account": {"account": "2000300040005000"},
    "that end within 30 days": {"before": f"{NOW + timedelta(days=30):%Y-%m-%d}", "sort": "end"},
}


def measure() -> list[Row]:
    """Pages of both ledgers, and how far they are apart."""
    with tempfile.TemporaryDirectory() as name, SignIn("http://127.0.0.1:8080") as sign_in:
        many, few = (_opened(Path(name) / f"{count}.db", count, sign_in) for count in (MANY, FEW))
        cookie = f"{COOKIE}={sign_in.token('operator')}"
        rows = []
        with contextlib.redirect_stdout(io.StringIO()):
            for what, query in LISTS.items():
                rows.append(_row(what, _timed(many, query, cookie), _timed(few, query, cookie)))
            deep = _deep(many, cookie)
            rows.append(_row("100 pages on", _timed(many, deep, cookie), _timed(few, {}, cookie)))
            ends, of_few = (_timed(one, {}, cookie, "/console/expiries") for one in (many, few))
    note = f"of 10,000: p99 {ends.percent(99):.1f} ms, seven counts by an index; bare: of 100"
    ours, bare = ends.percent(50), of_few.percent(50)
    return [*rows, Row("console: expiries ahead", "ms", ours, bare, None, note)]


def _row(what: str, many: Times, few: Times) -> Row:
    note = f"50 of 10,000: p99 {many.percent(99):.1f} ms; bare: 50 of 100"
    return Row(f"console: list, {what}", "ms", many.percent(50), few.percent(50), None, note)


def _timed(
    ask: Callable[[bytes], Any], query: dict[str, str], cookie: str, path: str = "/console"
) -> Times:
    event, each = http_event("GET", path, {"Cookie": cookie}, query=query), []
    for number in range(TIMES + 5):
        started = time.perf_counter()
        answer = ask(event)
        if number >= 5:  # warm
            each.append(time.perf_counter() - started)
        assert answer["statusCode"] == 200, answer["body"]
    return Times(each)


def _deep(ask: Callable[[bytes], Any], cookie: str) -> dict[str, str]:
    """The query of the page after 100 pages."""
    query: dict[str, str] = {}
    for _ in range(100):
        event = http_event("GET", "/console", {"Cookie": cookie}, query=query)
        body = ask(event)["body"]
        found = re.search(r'rel="next" href="([^"]+)"', body)
        assert found is not None
        query = dict(parse_qsl(urlsplit(unescape(found[1])).query))
    return query


def _opened(path: Path, count: int, sign_in: SignIn) -> Callable[[bytes], Any]:
    ledger = SqlLedger(f"sqlite:///{path}")
    for number in range(count):
        ledger.put_authorization(_authorization(number), 0)
    ledger.close()
    environ = {
        "FC_ACCOUNT_ID": "1000200030004000",
        "FC_REGION": "cn-hangzhou",
        "LEDGER_URL": f"sqlite:///{path}",
        "REGISTRY_FILE": str(ROOT / "registry.yaml"),
        **sign_in.environment,
    }
    answer = logged(intake.build(environ).answer)
    return lambda event: answer(event, None)


def _authorization(number: int) -> Authorization:
    of = AuthorizationId(
        ecr_id=("ecr-hz7core4qk2m1", "ecr-sg3edge8wv5n2")[number % 2],
        ecr_owner_uid="1000200030004000",
        instance_id=f"vpc-bp1bench{number:08}",
        instance_type="VPC",
        instance_region_id="cn-hangzhou",
        instance_owner_uid=("2000300040005000", "3000400050006000", "4000500060007000")[number % 3],
    )
    lease = Lease(
        id=f"CHG-{number}",
        ticket=f"CHG-{number}",
        since=NOW - timedelta(days=number % 300),
        expires_at=NOW + timedelta(days=1 + number % 400) if number % 5 else None,
    )
    return Authorization(
        id=of,
        generation=1,
        leases=(lease,),
        grant=GrantSeen(state="present", authorized_at=lease.since),
        association=AssociationSeen(state="active", by_us=True, association_id=f"a-{number}"),
    )


if __name__ == "__main__":
    from benchmarks.table import show

    show(measure())
