"""The whole path, batches of eight at once, on every database that it is deployed with."""

from __future__ import annotations

from shared.audit import verify
from shared.ledger.sql import SqlLedger
from simulation.wire.system import WireSystem


def test_tickets_get_their_access_and_give_it_back_and_the_trail_is_whole(tmp_path, url):
    with WireSystem(tmp_path, ledger_url=url) as system:
        for name in ("grant_vpc", "grant_vbr", "grant_vpc_other_region", "grant_attached_by_hand"):
            system.post(name)
        for number in range(4):
            system.post("grant_vpc", request_id=f"CHG-{number}", ticket=f"CHG-{number}")
        system.settle()
        system.post("revoke_vpc", lease="all")
        system.settle()
        results = {
            request_id: system.outcomes(request_id)
            for request_id in ("CHG-1001", "CHG-1002", "CHG-1003", "CHG-1007", "CHG-1008")
        }
        assert results == {
            "CHG-1001": ["granted", "attached"],
            "CHG-1002": ["granted", "attached"],
            "CHG-1003": ["granted", "attached"],
            "CHG-1007": ["granted"],
            "CHG-1008": ["revoking", "detached", "revoked"],
        }
        assert len(system.cloud.ecr.grants()) == 3
    ledger = SqlLedger(url)
    entries = list(ledger.entries())
    assert len(entries) > 30
    assert verify(ledger) == []
    ledger.close()
