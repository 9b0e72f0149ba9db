"""What the console's list asks of the ledger is answered by an index, whatever is filtered by."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from sqlalchemy import event

from shared.intake.models import Listing
from shared.intake.reading import wanted_by
from shared.ledger import Place
from shared.ledger.sql import SqlLedger
from shared.registry import Scope

ALL = Scope(accounts="all", ecrs="all")
END = datetime(2026, 12, 31, tzinfo=timezone.utc)
KEY = "ecr-hz7core4qk2m1:vpc-bp1payments0main:cn-hangzhou:1000200030004000:VPC:2000300040005000"
ASKED = {
    "all": Listing(),
    "the soonest end first": Listing(order="end"),
    "of an ECR": Listing(ecr_id="ecr-hz7core4qk2m1"),
    "of an account": Listing(account_uid="2000300040005000"),
    "of an instance": Listing(instance_id="vpc-bp1payments0main"),
    "in a state": Listing(state="attached"),
    "that end soon": Listing(expiring_before=END, order="end"),
}


@pytest.mark.parametrize("after", [None, Place(key=KEY, ends_at=END)], ids=["first", "next"])
@pytest.mark.parametrize("what", ASKED)
def test_a_page_is_read_by_an_index_and_sorts_nothing(tmp_path, what, after):
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    asked, statements = ASKED[what], []
    event.listen(
        ledger._engine,
        "before_cursor_execute",
        lambda _c, _u, statement, given, *_: statements.append((statement, given)),
    )
    ledger.search(wanted_by(ALL, asked), 51, after, asked.order)
    (statement, given) = statements[0]
    with ledger._engine.connect() as connection:
        found = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, given)
        plan = [row.detail for row in found]
    ledger.close()
    (step,) = [one for one in plan if "authorizations" in one]
    assert "USING INDEX" in step, plan
    if what != "of an instance":  # of which there are few
        assert not any("TEMP B-TREE" in one for one in plan), plan
