"""The sweep picks up what nobody works on any more; dead letters get another chance."""

from __future__ import annotations

import itertools
import json
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.authorization import OpenRequest
from shared.cloud.errors import CloudFailure, Refused, failure
from shared.cloud.messages import Received
from shared.contract import read_request
from shared.dead_letters import DeadLetters
from shared.ledger import RequestRecord
from simulation.memory import MemoryLedger
from simulation.system import System, request

LATER = timedelta(minutes=45)


def dies_at(call):
    """The instance is gone when it is about to make this call."""

    def trouble(name, when):
        if name == call:
            raise KeyboardInterrupt

    return trouble


def granted():
    system = System(ledger=MemoryLedger())
    system.post(request("grant_vpc"))
    return system


def test_a_request_whose_message_was_lost_before_it_was_taken_is_sent_again():
    system = granted()
    system.ports.trouble = dies_at("assume")
    with pytest.raises(KeyboardInterrupt):
        system.run(1, must_drain=False)
    system.ports.trouble = lambda name, when: None
    system.ledger.records.clear()  # it died before the authorization was on the ledger
    assert system.ports.queues["requests"] == []
    system.ports.now += LATER
    assert system.sweep.run().resent == 1
    system.run()
    assert system.ledger.request("CHG-1001").outcome == "attached"


def test_what_a_dead_instance_had_locked_is_woken_after_its_lock():
    system = granted()
    system.run(1, must_drain=False)
    system.ports.queues["attachments"].clear()
    system.ports.now += LATER
    assert system.sweep.run().woken == 1
    system.run()
    assert system.ports.outcomes[-1] == ("CHG-1001", "attached")


def test_a_result_that_was_made_and_not_published_is_published():
    system = granted()
    system.ports.trouble = dies_at("publish")
    with pytest.raises(KeyboardInterrupt):
        system.run()
    system.ports.trouble = lambda name, when: None
    assert system.ports.published == []
    system.ports.now += LATER
    assert system.sweep.run().published == 1
    assert system.ports.outcomes == [("CHG-1001", "granted")]


def test_a_look_names_what_a_sweep_would_pick_up_and_does_nothing():
    system = granted()
    system.ports.trouble = dies_at("publish")
    with pytest.raises(KeyboardInterrupt):
        system.run()
    system.ports.trouble = lambda name, when: None
    system.post(request("grant_vpc", request_id="CHG-2", instance_id="vpc-bp1payments0test"))
    system.ports.trouble = dies_at("assume")
    with pytest.raises(KeyboardInterrupt):
        system.run()
    system.ports.trouble = lambda name, when: None
    key = next(key for key in system.ledger.records if "test" in key)
    del system.ledger.records[key]  # it died before the authorization was on the ledger
    for queue in system.ports.queues.values():
        queue.clear()
    system.ports.now += LATER
    before = deepcopy((system.ledger.chains, system.ledger.records, system.ledger.outbox))
    found = system.sweep.look()
    assert (found.unpublished, found.lost) == (("CHG-1001/granted",), ("CHG-2",))
    assert found.due == tuple(system.ledger.records)
    assert found.is_whole
    assert before == (system.ledger.chains, system.ledger.records, system.ledger.outbox)
    assert not any(system.ports.queues.values())
    swept = system.sweep.run()
    assert (swept.published, swept.resent, swept.woken) == (1, 1, 1)
    again = system.sweep.look()
    assert (again.unpublished, again.due, again.seal_until) == ((), (), None)


def test_a_second_sweep_at_once_does_no_harm():
    system = granted()
    system.run(1, must_drain=False)
    system.ports.queues["attachments"].clear()
    system.ports.now += LATER
    system.sweep.run()
    system.sweep.run()
    system.run()
    assert [outcome for _, outcome in system.ports.outcomes] == ["granted", "attached"]
    assert system.ports.calls.count("associate") == 1


def test_a_healthy_system_is_left_alone():
    system = granted()
    system.run()
    calls = list(system.ports.calls)
    system.ports.now += LATER
    swept = system.sweep.run()
    assert (swept.published, swept.resent, swept.woken) == (0, 0, 0)
    assert system.ports.calls == calls


def test_who_waits_for_a_person_keeps_no_lost_request_from_being_found():
    system = granted()
    system.post(request("grant_attached_by_hand"))
    system.run()
    waiting = system.ledger.requests["CHG-1001"]
    for number in range(7):  # received before, and under way: each waits on its authorization
        name = f"W-{number}"
        asked = waiting.request.model_copy(update={"request_id": name})
        record = waiting.model_copy(update={"request": asked, "outcome": None, "finished_at": None})
        system.ledger.requests[name] = record
        known, version = system.ledger.records[asked.authorization.key]
        entry = OpenRequest(request_id=name, action="grant", ticket="T", lease=name)
        known = known.model_copy(update={"open": (*known.open, entry)})
        system.ledger.records[asked.authorization.key] = (known, version)
    lost = request("grant_vbr")
    system.ports.now += timedelta(minutes=1)
    system.ledger.requests["CHG-1003"] = RequestRecord(
        request=read_request(lost),
        fingerprint=read_request(lost).fingerprint,
        received_at=system.ports.now,
        sent_at=system.ports.now,
    )
    system.ports.now += LATER
    few = replace(system.sweep, limit=3)
    assert few.run().resent == 1


def test_what_was_woken_is_not_woken_again_at_once():
    system = granted()
    system.run(1, must_drain=False)
    system.ports.queues["attachments"].clear()
    system.ports.now += LATER
    assert system.sweep.run().woken == 1
    assert system.sweep.run().woken == 0


def test_a_part_of_the_sweep_that_the_cloud_fails_keeps_no_other_from_its_own():
    system = granted()
    system.ports.trouble = dies_at("publish")
    with pytest.raises(KeyboardInterrupt):
        system.run()

    def away(name, when):
        return failure("ServiceUnavailable") if name == "publish" else None

    system.ports.trouble = away
    system.ports.now += LATER
    with pytest.raises(CloudFailure):
        system.sweep.run()
    assert system.ports.queues["attachments"]  # the authorization was woken all the same


def test_what_cannot_be_read_keeps_nothing_else_from_being_picked_up():
    system = granted()
    system.post(request("grant_vbr"))
    system.run(2, must_drain=False)
    system.ports.queues["attachments"].clear()
    system.ports.now += LATER
    read = system.ledger.authorization

    def broken(key):
        if "vpc-" in key:
            raise ValueError("unreadable")
        return read(key)

    system.ledger.authorization = broken
    assert system.sweep.run().woken == 1  # and the other one has its messages, too
    assert len(system.ports.queues["attachments"]) == 2


class Queues:
    """Queues in memory, as MNS has them: what is received is hidden until it is released."""

    def __init__(self, **bodies):
        self.count = itertools.count(1)
        self.visible = {name: [self._new(body) for body in found] for name, found in bodies.items()}
        self.hidden = {}

    def _new(self, body):
        number = next(self.count)
        return Received(body, f"M-{number}", f"R-{number}")

    def send(self, queue, body, delay_seconds=0):
        self.visible.setdefault(queue, []).append(self._new(body))

    def receive(self, queue, wait_seconds=0, most=16):
        taken, self.visible[queue] = self.visible[queue][:most], self.visible[queue][most:]
        self.hidden |= {one.receipt: one for one in taken}
        return taken

    def delete(self, queue, receipt):
        del self.hidden[receipt]

    def release(self, queue, receipt, seconds):
        self.visible[queue].append(self.hidden.pop(receipt))


class Impatient(Queues):
    """What is received can be seen again at once, under another receipt; the old one is over."""

    def receive(self, queue, wait_seconds=0, most=2):
        taken, rest = self.visible[queue][:most], self.visible[queue][most:]
        again = [replace(one, receipt=f"R-{next(self.count)}") for one in taken]
        self.visible[queue] = rest + again
        self.hidden |= {one.receipt: one for one in again}
        return again

    def delete(self, queue, receipt):
        raise Refused("ReceiptHandleError", "over")

    def release(self, queue, receipt, seconds):
        raise Refused("ReceiptHandleError", "over")


def letter(message, reason="gave_up"):
    found = {"queue": "requests", "reason": reason, "attempt": 20, "message": message}
    return json.dumps(found)


def test_dead_letters_are_listed_with_their_reason_and_stay():
    event = {"data": {"messageBody": json.dumps(request("grant_vbr"))}}
    bodies = [letter(request("grant_vpc")), letter("not json"), json.dumps(event), "\x00"]
    queues = Queues(**{"requests-dead": bodies})
    letters = DeadLetters(queues, "requests-dead", System(ledger=MemoryLedger()).trail)
    for _ in range(2):
        found = {one.message_id: one for one in letters.all()}
        assert [one.request_id for one in found.values()] == ["CHG-1001", None, "CHG-1003", None]
        assert found["M-1"].reason == "gave_up"
        assert {one.queue for one in found.values()} == {"requests"}


def test_a_redrive_sends_once_deletes_and_is_noted():
    system = System(ledger=MemoryLedger())
    queues = Queues(**{"requests-dead": [letter(request("grant_vpc")), letter("x")]})
    letters = DeadLetters(queues, "requests-dead", system.trail)
    assert [one.message_id for one in letters.redrive({"M-1"}, "operator")] == ["M-1"]
    assert [json.loads(one.body) for one in queues.visible["requests"]] == [request("grant_vpc")]
    assert [one.message_id for one in letters.all()] == ["M-2"]
    assert letters.redrive({"M-1"}, "operator") == []
    assert len(letters.redrive(None, "operator")) == 1
    entries = list(system.ledger.entries("dead-letters/requests-dead"))
    assert [entry.facts["operator"] for entry in entries] == ["operator", "operator"]


def test_letters_that_come_back_before_all_are_taken_end_the_list():
    def letters():
        found = [letter(request("grant_vpc", request_id=f"R-{number}")) for number in range(5)]
        impatient = Impatient(**{"requests-dead": found})
        return DeadLetters(impatient, "requests-dead", System(ledger=MemoryLedger()).trail)

    assert [one.request_id for one in letters().all()] == [f"R-{number}" for number in range(5)]
    assert len(letters().redrive(None, "operator")) == 5
    assert len(letters().redrive({"M-1"}, "operator")) == 1


def test_what_is_redriven_twice_is_done_once():
    system = System(ledger=MemoryLedger())
    body = json.dumps(request("grant_vpc"))
    for _ in range(2):
        system.ports.queues.setdefault("requests", []).append((system.ports.now, body))
    system.run()
    assert system.ports.calls.count("grant") == 1
    assert system.ports.calls.count("associate") == 1
