"""The three ticketing systems as senders, and what they post."""

from __future__ import annotations

import json
from base64 import b64encode

import yaml

from simulation.wire.system import ROOT, WireSystem
from tests.path.intake_client import registry_text

HOSTS = {
    "servicenow": "service-now.tickets.example",
    "jira": "relay.tickets.example",
    "dingtalk": "connector.tickets.example",
}
STRICT = {"approval": True, "another_approver": True, "open_window": True}
OF_SYSTEMS = {
    name: "whsec_" + b64encode(f"{name}-secret-canary-of-the-desk".encode()).decode()
    for name in HOSTS
}
NOT_APPROVED = "servicenow_not_approved"
TICKETS = sorted({path.stem for path in (ROOT / "events/tickets").glob("*.json")} - {NOT_APPROVED})


class TicketSystem(WireSystem):
    """The whole system, whose senders are the three ticketing systems."""

    def environ(self, name):
        given = super().environ(name)
        secrets = {sender: [secret] for sender, secret in OF_SYSTEMS.items()}
        return given | {"WEBHOOK_SECRETS": json.dumps(secrets)} if name == "ecr-intake" else given


def opened(tmp_path, requires=STRICT, start=None):
    known = yaml.safe_load(registry_text())
    known["senders"] = {
        name: {
            "accounts": "all",
            "ecrs": "all",
            "mapping": name,
            "requires": dict(requires),
            "callback_hosts": [host],
        }
        for name, host in HOSTS.items()
    }
    return TicketSystem(tmp_path, registry=yaml.safe_dump(known), start=start)


def payload(ticket, changes=()):
    """A sample, changed at each `place`, a path of names and numbers; `form/NAME` a component's."""
    document = json.loads((ROOT / f"events/tickets/{ticket}.json").read_text())
    for place, value in changes:
        *way, last = place.split("/")
        if way == ["form"]:
            components = document["instance"]["formComponentValues"]
            found, last = next(one for one in components if one["name"] == last), "value"
        else:
            found = document
            for name in way:
                found = found[int(name) if isinstance(found, list) else name]
        found[int(last) if isinstance(found, list) else last] = value
    return document
