"""What an attacker has: a system on localcloud, messages of any content, a cloud that lies."""

from __future__ import annotations

import json

import pytest

from simulation.wire.system import ACCOUNT_A, ROOT, WireSystem

REGISTRY = (ROOT / "registry.yaml").read_text().partition("\n# Who may post to intake")[0] + "\n"
"""Who is who, without senders and readers: a test adds its own."""
WRITES = (
    "GrantInstanceToExpressConnectRouter",
    "RevokeInstanceFromExpressConnectRouter",
    "CreateExpressConnectRouterAssociation",
    "DeleteExpressConnectRouterAssociation",
    "AttachExpressConnectRouterChildInstance",
    "DetachExpressConnectRouterChildInstance",
)


@pytest.fixture
def system(tmp_path):
    with WireSystem(tmp_path) as running:
        yield running


def sample(name, **changes):
    """A sample request, changed so; a field that is None is left out."""
    document = json.loads((ROOT / "events" / "requests" / f"{name}.json").read_text())
    return {name: value for name, value in {**document, **changes}.items() if value is not None}


def revoke(name, **changes):
    """The revoke of a sample grant."""
    changes = {"action": "revoke", "expires_at": None, "attach": None, **changes}
    return sample(name, **changes)


def put(system, document, queue="ecr-requests"):
    """Any message on any queue, as whoever may send there would put it."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    system.cloud.mns.send(ACCOUNT_A, queue, body)


def access(system):
    """All that stands in both accounts."""
    grants = {(one.subject, one.instance_owner_uid) for one in system.cloud.ecr.grants()}
    associations = {
        (one.association_id, one.subject, one.instance_owner_uid)
        for one in system.cloud.ecr.associations()
    }
    return grants, associations


def writes(system):
    """The calls that have changed, or were to change, who has access."""
    return [one.action for one in system.cloud.journal if one.action in WRITES]


def answer_to(system, request_id):
    """The one answer to a request or bundle: it may come twice, and is equal then."""
    first, *again = [one for one in system.results if one["request_id"] == request_id]
    assert all(one == first for one in again)
    return first


class Liar:
    """The wire of STS, VPC and ECR: what is asked is done, and another answer is given."""

    def __init__(self, wire):
        self._wire = wire
        self.lies = {}

    def __getattr__(self, name):
        return getattr(self._wire, name)

    def answer(self, request):
        response, caller, code = self._wire.answer(request)
        lie = self.lies.get(self._wire.names(request)[1])
        if lie is not None and response.status_code == 200:
            response.set_data(json.dumps(lie(json.loads(response.get_data()), request.values)))
        return response, caller, code


def lie(system, action, change):
    """From now on `action` is answered with what `change` makes of the answer and its question."""
    application = system.local.application
    if not isinstance(application._acs, Liar):
        application._acs = Liar(application._acs)
    application._acs.lies[action] = change
