"""A registry that says two things, too much, or something that looks like an id, is refused."""

from __future__ import annotations

import pytest

from shared.registry import BadRegistry, load
from simulation.wire.system import WireSystem
from tests.attacks.conftest import REGISTRY

GOOD = REGISTRY
ECR, PAYMENTS = "ecr-hz7core4qk2m1", "2000300040005000"
SENDER = "\nsenders:\n  s: {accounts: all, ecrs: all}\n"
READER = f"\nreaders:\n  r: {{accounts: all, ecrs: all, token_sha256: ['{'a' * 64}']}}\n"
CHAT = "\nchats:\n  c: {system: slack, host: hooks.example.com}\n"


def changed(before, after, text=GOOD):
    assert text.count(before) >= 1, before
    return text.replace(before, after, 1)


POISON = {
    "an ECR with two owners": GOOD.replace(
        "accounts:\n", f"  {ECR}:\n    owner_uid: '3000400050006000'\n\naccounts:\n", 1
    ),
    "an account twice": GOOD + f"  '{PAYMENTS}':\n    name: x\n    role_arn: x\n",
    "a section twice": GOOD + "\necrs: {}\n",
    "a role of another account": changed(
        f"acs:ram::{PAYMENTS}:role", "acs:ram::3000400050006000:role"
    ),
    "a role of account A": changed(f"acs:ram::{PAYMENTS}:role", "acs:ram::1000200030004000:role"),
    "any role": changed("role/ecr-authorization", "role/*"),
    "a user for a role": changed(":role/ecr-authorization", ":user/ecr-authorization"),
    "a role with a path": changed("role/ecr-authorization", "role/x/../ecr-authorization"),
    "a role with a line's end": changed(
        f"role_arn: acs:ram::{PAYMENTS}:role/ecr-authorization",
        f'role_arn: "acs:ram::{PAYMENTS}:role/ecr-authorization\\n"',
    ),
    "another cloud's role": changed(f"acs:ram::{PAYMENTS}", f"aws:iam::{PAYMENTS}"),
    "any ECR": changed(f"- ecr_id: {ECR}", "- ecr_id: '*'"),
    "an ECR that is not there": changed(f"- ecr_id: {ECR}", "- ecr_id: ecr-hz7core4qk2mx"),
    "an ECR in Cyrillic": changed(f"  {ECR}:", f"  {ECR.replace('c', 'с')}:"),
    "an ECR with a blank": changed(f"  {ECR}:", f"  '{ECR} ':"),
    "an ECR in capitals": changed(f"  {ECR}:", f"  {ECR.upper()}:"),
    "an account in full-width digits": changed(
        f"'{PAYMENTS}':", "'２０００３０００４０００５０００':"
    ),
    "an account that is a number": changed(f"'{PAYMENTS}':", f"{PAYMENTS}:"),
    "an account that is octal": changed(f"'{PAYMENTS}':", "0o2000300040005000:"),
    "an account with a zero-width space": changed(f"'{PAYMENTS}':", f'"{PAYMENTS}\\u200b":'),
    "any region": changed("regions: [cn-hangzhou, ap", "regions: ['*', ap"),
    "no region": changed("regions: [cn-hangzhou, ap-southeast-1]", "regions: []"),
    "a region that YAML reads as false": changed("regions: [cn-hangzhou, ap", "regions: [no, ap"),
    "an unknown field": changed("    name: payments", "    names: payments"),
    "a field in capitals": changed("    role_arn:", "    Role_arn:"),
    "a merge": changed("accounts:\n", "accounts:\n  <<: {a: b}\n"),
    "an anchor and an alias": changed("ecrs:\n", "ecrs: &x\n") + "\nsenders: *x\n",
    "an alias that would be good": GOOD.replace(
        "regions: [cn-hangzhou, ap-southeast-1]", "regions: &both [cn-hangzhou, ap-southeast-1]", 1
    ).replace("regions: [cn-hangzhou, ap-southeast-1]", "regions: *both", 1),
    "a tag": changed("name: payments", "name: !!python/name:os.system"),
    "a name with an escape": changed("name: payments", 'name: "pay\\e[31mments"'),
    "a name of two lines": changed("name: payments", 'name: "pay\\nments"'),
    "endless days": changed("longest_lease_days: 90", "longest_lease_days: .inf"),
    "no day": changed("longest_lease_days: 90", "longest_lease_days: 0"),
    "days in words": changed("longest_lease_days: 90", "longest_lease_days: '90'"),
    "days that are true": changed("longest_lease_days: 90", "longest_lease_days: true"),
    "a proof of nothing": changed("Support case 000-0001, confirmed by the customer manager", "''"),
    "a brake of no number": GOOD + "\ncleanup: {brake: {percent: .nan}}\n",
    "a brake of less than nothing": GOOD + "\ncleanup: {brake: {most: -1}}\n",
    "a freeze without offset": GOOD
    + "\ncleanup: {freezes: [{since: 2026-01-01, until: 2027-01-01 00:00:00, reason: x}]}\n",
    "an exemption of everything": GOOD
    + "\ncleanup: {exemptions: [{until: 2027-01-01T00:00:00Z, reason: x}]}\n",
    "a sender of no accounts named": GOOD + "\nsenders:\n  s: {ecrs: all}\n",
    "a sender of any account": GOOD + changed("accounts: all", "accounts: ['*']", SENDER),
    "a sender of accounts ALL": GOOD + changed("accounts: all", "accounts: ALL", SENDER),
    "a callback to any host": GOOD
    + changed("ecrs: all", "ecrs: all, callback_hosts: ['*']", SENDER),
    "a callback to a URL": GOOD
    + changed("ecrs: all", "ecrs: all, callback_hosts: ['https://a.example']", SENDER),
    "a callback to a host with a user": GOOD
    + changed("ecrs: all", "ecrs: all, callback_hosts: ['u@a.example']", SENDER),
    "a callback to a look-alike": GOOD
    + changed("ecrs: all", "ecrs: all, callback_hosts: ['а.example']", SENDER),
    "a sender with a secret in it": GOOD
    + changed("ecrs: all", "ecrs: all, secret: whsec_x", SENDER),
    "a sender without limit": GOOD + changed("ecrs: all", "ecrs: all, per_minute: 0", SENDER),
    "a sender whose name is a path": GOOD + changed("  s:", "  ../s:", SENDER),
    "a mapping that is a path": GOOD
    + changed("ecrs: all", "ecrs: all, mapping: ../../etc/passwd", SENDER),
    "a reader's token itself": GOOD + changed("a" * 64, "my-secret-token", READER),
    "a reader without token": GOOD + changed(f"['{'a' * 64}']", "[]", READER),
    "a chat's whole URL": GOOD + changed("hooks.example.com", "https://hooks.example.com/x", CHAT),
}


@pytest.mark.parametrize("what", POISON)
def test_a_poisoned_registry_is_refused(tmp_path, what):
    file = tmp_path / "registry.yaml"
    file.write_text(POISON[what])
    with pytest.raises(BadRegistry) as bad:
        load(file)
    assert "my-secret-token" not in str(bad.value)


@pytest.mark.parametrize("more", ["", SENDER, READER, CHAT])
def test_what_was_poisoned_was_good_before(tmp_path, more):
    file = tmp_path / "registry.yaml"
    file.write_text(GOOD + more)
    assert load(file).ecrs


def test_without_a_registry_that_is_good_no_function_does_anything(tmp_path):
    """Fail closed: the messages stay, or lie in the dead-letter queue; nothing is called."""
    with WireSystem(tmp_path, registry=POISON["any role"]) as system:
        system.post("grant_vpc")
        system.settle(300)
        assert system.calls("sts", "ecr", "vpc") == []
        assert system.results == []
        with pytest.raises(BadRegistry):
            system.clean()
