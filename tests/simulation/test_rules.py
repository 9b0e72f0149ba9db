"""Rules of leases and locks, each told as a short story at the ports."""

from __future__ import annotations

import itertools
import json
import threading
from datetime import timedelta

import pytest

from functions.triggers import answer_each
from shared.authorization import Lock
from shared.cloud.errors import CloudFailure, failure
from shared.cloud.router import NOT_ASSOCIATED
from shared.contract import read_request
from shared.inbox import Inbox, Message, Pace
from simulation.memory import MemoryLedger
from simulation.system import LOCK_SECONDS, System, request

KEY = read_request(request("grant_vpc")).authorization.key


def second(**changes):
    return request("grant_vpc", request_id="CHG-2", ticket="CHG-2", **changes)


def attached():
    system = System(ledger=MemoryLedger())
    system.post(request("grant_vpc"))
    system.run()
    return system


def record(system):
    return system.ledger.authorization(KEY)[0]


def locked(system, until):
    """Somebody else holds the lock, as far as the ledger says."""
    known, version = system.ledger.authorization(KEY)
    lock = Lock(holder="another", until=until)
    assert system.ledger.put_authorization(known.model_copy(update={"lock": lock}), version)


def test_renewing_extends_and_the_old_lease_can_end_without_loss():
    system = attached()
    system.post(second(expires_at="2031-01-01T00:00:00Z"))
    system.run()
    assert {lease.id for lease in record(system).live_leases} == {"CHG-1001", "CHG-2"}
    system.post(request("revoke_vpc"))
    system.run()
    (left,) = record(system).live_leases
    assert left.expires_at.year == 2031
    assert system.ports.grants
    assert "revoke" not in system.ports.calls
    revoked = system.ports.published[-1]["data"]
    assert (revoked["outcome"], revoked["held_by"]) == ("revoked", ["CHG-2"])


def test_a_lease_can_be_ended_before_its_time():
    system = attached()
    assert record(system).live_leases[0].expires_at > system.ports.now
    system.post(request("revoke_vpc"))
    system.run()
    assert record(system).live_leases == ()
    assert not system.ports.grants


@pytest.mark.parametrize("lease", ["CHG-2", "all"])
def test_a_revoke_ends_the_lease_that_it_names_or_all(lease):
    system = attached()
    system.post(second())
    system.run()
    system.post(request("revoke_vpc", lease=lease))
    system.run()
    live = [one.id for one in record(system).live_leases]
    assert live == (["CHG-1001"] if lease == "CHG-2" else [])


def test_a_revoke_of_all_ends_what_was_asked_for_before_it_in_whatever_order_they_come():
    system = attached()
    system.ports.now += timedelta(minutes=5)
    asked_at = system.ports.now.isoformat()
    system.ports.now += timedelta(minutes=5)
    system.post(second())
    system.run()
    system.post(request("revoke_vpc", lease="all", requested_at=asked_at))  # it comes late
    system.run()
    assert [one.id for one in record(system).live_leases] == ["CHG-2"]
    assert system.ports.grants
    assert system.ports.outcomes[-1] == ("CHG-1008", "revoked")


def test_a_look_is_as_old_as_its_question_not_as_its_answer():
    """The instance stood still over the answer: what it shows may be older than the last yes."""
    system = System(ledger=MemoryLedger())
    system.post(request("grant_vpc"))
    stale = [NOT_ASSOCIATED]
    shown = system.ports.shown

    def slow(name, when):
        if (name, when) == ("look_at_association", "after"):
            system.ports.now += timedelta(seconds=100 * len(stale))
            stale.clear()

    system.ports.shown = lambda key: stale[0] if stale else shown(key)
    system.ports.trouble = slow
    system.run()
    assert system.ports.calls.count("associate") == 1
    assert system.ports.outcomes[-1] == ("CHG-1001", "attached")


def test_while_one_converges_an_authorization_another_only_records_its_intent():
    system = attached()
    locked(system, system.ports.now + timedelta(seconds=LOCK_SECONDS))
    system.ports.calls.clear()
    system.deliver("requests", json.dumps(request("revoke_vpc")))
    assert record(system).live_leases == ()  # its end is on the record
    assert system.ports.calls == ["send requests"]  # it comes again when the lock is free
    assert record(system).lock.holder == "another"


def test_a_lock_expires_so_that_a_dead_instance_stops_nobody():
    system = attached()
    locked(system, system.ports.now - timedelta(seconds=1))
    system.post(request("revoke_vpc"))
    system.run()
    assert not system.ports.grants
    assert record(system).lock is None


def test_who_has_lost_the_lock_writes_nothing_more():
    """The fence: an instance that stood still beyond its lock finds another holder, and stops."""
    system = attached()
    system.post(request("revoke_vpc"))
    taken = []

    def thaw_late(name, when):
        if (name, when) == ("look_at_association", "before") and not taken:
            taken.append(True)
            locked(system, system.ports.now + timedelta(seconds=LOCK_SECONDS))

    system.ports.trouble = thaw_late
    for queue in ("requests", "attachments"):
        _, body = system.ports.queues[queue].pop()
        system.deliver(queue, body)
    assert taken
    assert record(system).lock.holder == "another"
    assert record(system).association.state == "unknown"  # its answer is not on the record
    system.run()
    assert not system.ports.grants


def test_different_authorizations_of_one_batch_are_worked_on_at_once():
    system = attached()
    together = threading.Barrier(2, timeout=5)

    class Meeting:
        def take(self, document, sent_at):
            together.wait()

    inbox = Inbox("q", "q-dead", system.ports.send, Pace(), lambda: 0.5, system.trail)
    messages = [Message('{"a":1}', f"m-{number}", system.ports.now) for number in range(2)]
    assert answer_each(messages, inbox, Meeting()) == 2


def test_changes_of_one_ecr_start_one_after_the_other():
    system = System(ledger=MemoryLedger())
    at = []
    effect = system.ports.perform

    def timed(name, do):
        if name == "associate":
            at.append(system.ports.now)
        return effect(name, do)

    system.ports.perform = timed
    for number in range(3):
        name = f"CHG-{number}"
        place = f"vpc-bp1number{number}"
        system.post(request("grant_vpc", request_id=name, ticket=name, instance_id=place))
    system.run()
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert len(gaps) == 2
    assert min(gaps) >= timedelta(seconds=0.5)


@pytest.mark.parametrize(("acted", "calls"), [("after", 1), ("before", 2)])
def test_an_unknown_outcome_is_settled_by_reading_the_cloud(acted, calls):
    """Timeout after the cloud acted: no second call. Before: one more, with the same token."""
    system = System(ledger=MemoryLedger())
    left = [failure("Timeout")]
    system.ports.trouble = lambda name, when: (
        left.pop() if (name, when) == ("associate", acted) and left else None
    )
    system.post(request("grant_vpc"))
    system.run()
    assert system.ports.calls.count("associate") == calls
    assert system.ports.calls.count("look_at_association") >= 1
    assert len(system.ports.associations[KEY]) == 1


def test_an_answer_that_was_made_before_an_instance_died_stays_true():
    """`failed` was made and not yet published: the message that comes again grants nothing."""
    system = System(ledger=MemoryLedger())
    system.max_attempts = 1
    system.ports.trouble = lambda name, when: (
        failure("ServiceUnavailable") if name in ("assume", "publish") else None
    )
    system.post(request("grant_vpc"))
    _, body = system.ports.queues["requests"][0]
    with pytest.raises(CloudFailure):
        system.deliver("requests", body)
    system.ports.trouble = lambda name, when: None
    system.run()
    assert system.ports.outcomes[0] == ("CHG-1001", "failed")
    assert not system.ports.grants
