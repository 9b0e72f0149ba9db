"""A brake that waits for an operator, with a list that somebody has written who means ill."""

from __future__ import annotations

from datetime import datetime, timezone

from shared.cleanup import brake, notes

ECR = "ecr-hz7core4qk2m1"


def put_on(ledger, ticket):
    """The brake is on; what it stopped names this ticket. Gives the list's digest."""
    now = datetime.now(timezone.utc)
    asked = {
        "request_id": "cleanup-1",
        "action": "revoke",
        "ticket": ticket,
        "ecr_id": ECR,
        "ecr_owner_uid": "1000200030004000",
        "instance_id": "vpc-bp1payments0test",
        "instance_type": "VPC",
        "instance_region_id": "cn-hangzhou",
        "instance_owner_uid": "2000300040005000",
        "lease": "all",
    }
    part = notes.Part(requests=(asked,))
    run = notes.CleanupRun(
        id="run-of-the-test",
        started_at=now,
        finished_at=now,
        slot=7,
        ecrs=(ECR,),
        seen=3,
        wanted=1,
        outcome="braked",
    )
    _put(ledger, notes.part_key(7, ECR, 0), part)
    _put(ledger, notes.found_key(7, ECR), notes.Found(parts=(part.digest,)))
    digest = notes.list_digest(ledger, run)
    run = run.model_copy(update={"digest": digest})
    _put(ledger, brake.BRAKE, brake.BrakeOn(run=run, digest=digest))
    return digest


def _put(ledger, key, document):
    known = ledger.note(key)
    ledger.put_note(key, document.model_dump_json(exclude_none=True), known[1] if known else 0)
