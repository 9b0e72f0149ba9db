"""No secret, token, ExternalId or raw event in a log line, a result or a dead letter."""

from __future__ import annotations

import json

from pydantic import SecretStr

from localcloud.behaviour import Fault
from shared.external_ids import external_id
from shared.log import captured
from simulation.wire.system import ENVIRON, WireSystem


def everything_secret(system):
    """What must not be seen: every key the cloud has given out, every ExternalId, our own key."""
    identity = system.cloud.identity
    secrets = {ENVIRON["EXTERNAL_ID_KEY"]}
    for account in system.cloud.world.accounts:
        if account.name.endswith("(account B)"):
            key = SecretStr(ENVIRON["EXTERNAL_ID_KEY"])
            secrets.add(external_id(key, account.uid).get_secret_value())
    for session in identity.sessions():
        secrets |= {session.secret, session.token}
    assert len(secrets) > 5
    return secrets


def test_no_secret_is_ever_shown(tmp_path):
    canary = "canary-in-the-raw-event-5f2c"
    with captured() as lines, WireSystem(tmp_path) as system:
        for action in ("AssumeRole", "GrantInstanceToExpressConnectRouter", "PublishMessage"):
            for kind in ("cut", "html", "error"):
                system.cloud.behaviour.order(Fault(action=action, kind=kind, when="after"))
        system.post("grant_vpc")
        system.post("grant_vbr")
        system.post("malformed", note=canary)
        system.post_raw(f"not json {canary}".encode())
        system.settle()
        for account in system.cloud.world.accounts:  # every ExternalId is wrong from now on
            for role in account.roles:
                if role.name == "ecr-authorization":
                    (statement,) = role.trust["Statement"]
                    statement["Condition"]["StringEquals"]["sts:ExternalId"] = ["another"]
        system.post("grant_vpc_other_region")
        system.post("revoke_vpc")
        system.settle()
        shown = json.dumps(lines) + json.dumps(system.results)
        letters = json.dumps(system.dead_letters())
        secrets = everything_secret(system)
    assert any(line.get("cloud_code") == "NoPermission" for line in lines)
    for secret in secrets:
        assert secret not in shown + letters
    assert canary not in shown  # the dead letter alone keeps what was sent
    assert canary in letters
