"""A ticketing system and a reader at intake's door, over localcloud's HTTP trigger."""

from __future__ import annotations

import json
from hashlib import sha256

import requests
from standardwebhooks.webhooks import Webhook

from simulation.wire.system import ENVIRON, ROOT, WireSystem

SECRETS = {name: listed[0] for name, listed in json.loads(ENVIRON["WEBHOOK_SECRETS"]).items()}
TOKENS = {name: f"ecr_{name}-token-canary-51c0" for name in ("network-team", "payments-team")}
GRANT = json.loads((ROOT / "events/requests/grant_vpc.json").read_text())
BUNDLE = json.loads((ROOT / "events/requests/grant_bundle.json").read_text())


def registry_text(extra=""):
    """The shipped registry, whose readers bear tokens that are known here."""
    text = (ROOT / "registry.yaml").read_text()
    for name, token in TOKENS.items():
        head, mark, rest = text.partition(f"  {name}:\n")
        before, key, tail = rest.partition("token_sha256: [")
        text = head + mark + before + key + sha256(token.encode()).hexdigest() + tail[64:]
    return text + extra


class Door:
    """Posts and reads as a client does; every answer is kept."""

    def __init__(self, system):
        self.system = system
        self.url = f"{system.local.url}/_http/ecr-intake"
        self.answers = []
        self.number = 0

    def signed(self, body, sender="network-desk", webhook_id=None, at=None):
        self.number += 1
        webhook_id = webhook_id or f"msg_{self.number}"
        at = at or self.system.now()
        signature = Webhook(SECRETS[sender]).sign(webhook_id, at, body.decode())
        return {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
            "content-type": "application/json",
        }

    def post(self, document, path="/requests", *, headers=None, **given):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = {**self.signed(body, **given), **(headers or {})}
        return self.keep(requests.post(self.url + path, data=body, headers=headers, timeout=20))

    def get(self, path, reader="network-team", headers=None, **query):
        bearer = {"Authorization": f"Bearer {TOKENS[reader]}"} if reader else {}
        return self.keep(
            requests.get(
                self.url + path, params=query, headers={**bearer, **(headers or {})}, timeout=20
            )
        )

    def keep(self, answer):
        self.answers.append(answer)
        return answer

    def queued(self):
        """The request ids of what lies on the request queue now."""
        found = self.system.cloud.mns.queue("1000200030004000", "ecr-requests").peek(1000)
        return [json.loads(one.body).get("request_id") for one in found]


def opened(tmp_path, extra="", **given):
    """The whole system with a registry whose tokens are known."""
    return WireSystem(tmp_path, registry=registry_text(extra), **given)
