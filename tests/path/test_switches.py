"""What the cloud's documents leave open: the system is right under every value of every switch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from localcloud.behaviour import Switches
from simulation.wire.system import WireSystem

NUMBERS = {
    "grant_visible_after_seconds": [3.0, 20.0],
    "token_retention_seconds": [0.0, 30.0],
    "operation_seconds": [0.0, 45.0],
    "writes_per_minute": [2],
    "reads_per_minute": [3],
}


def settings():
    for name, field in Switches.model_fields.items():
        kind = field.annotation
        if kind is bool:
            values = [False, True]
        elif get_origin(kind) is Literal:
            values = list(get_args(kind))
        else:
            values = NUMBERS[name]
        for value in values:
            yield pytest.param({name: value}, id=f"{name}={value}")


def revoke(name, **changes):
    document = json.loads(Path(f"events/requests/{name}.json").read_text())
    document.pop("expires_at", None)
    return {
        **document,
        "request_id": "R-1",
        "action": "revoke",
        "lease": document["request_id"],
        **changes,
    }


@pytest.mark.parametrize("switches", list(settings()))
@pytest.mark.parametrize(("name", "ticket"), [("grant_vpc", "CHG-1001"), ("grant_vbr", "CHG-1003")])
def test_a_ticket_gets_its_access_and_gives_it_back(tmp_path, name, ticket, switches):
    with WireSystem(tmp_path, **switches) as system:
        system.post(name)
        system.settle()
        assert system.outcomes(ticket) == ["granted", "attached"]
        assert [one.status(system.clock.now()) for one in system.cloud.ecr.associations()] == [
            "ACTIVE"
        ]
        # A second ticket for what is there already, whatever the cloud says to that.
        system.post(name, request_id="CHG-2", ticket="CHG-2")
        system.settle()
        assert system.outcomes("CHG-2") == ["granted", "attached"]
        system.post_raw(json.dumps(revoke(name, lease="all")).encode())
        system.settle()
        assert system.outcomes("R-1") == ["revoking", "detached", "revoked"]
        assert system.cloud.ecr.grants() == []
        assert system.cloud.ecr.associations() == []
        # And revoking what is gone is an answer too, not an error.
        system.post_raw(json.dumps(revoke(name, lease="all", request_id="R-2")).encode())
        system.settle()
        assert system.outcomes("R-2")[-1] == "revoked"
        assert system.dead_letters() == []


VBR_REFUSALS = [
    pytest.param(
        {"vbr_refused_at": at, "vbr_refused_with": code}, id=f"{code.rpartition('.')[2]}-at-{at}"
    )
    for at in ("grant", "attach")
    for code in get_args(Switches.model_fields["vbr_refused_with"].annotation)
]


@pytest.mark.parametrize("switches", VBR_REFUSALS)
def test_a_vbr_that_the_cloud_refuses_fails_with_the_step_for_a_person_and_leaves_nothing(
    tmp_path, switches
):
    """The registry says that the account is enabled; the cloud does not know of it."""
    with WireSystem(tmp_path, **switches) as system:
        system.cloud.world.account("3000400050006000").cross_account_vbr = False
        system.post("grant_vbr")
        system.settle()
        assert system.outcomes("CHG-1003")[-1] in ("failed", "detached")
        assert "failed" in system.outcomes("CHG-1003")
        assert "customer manager" in system.problem("CHG-1003")["remedy"]
        assert system.cloud.ecr.grants() == []
        assert system.cloud.ecr.associations() == []
