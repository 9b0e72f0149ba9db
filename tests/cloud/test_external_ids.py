"""Two keys while one is changed: nobody is locked out, and nothing else is tried twice."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from pydantic import SecretStr

from localcloud.behaviour import Fault
from localcloud.server import LocalCloud
from shared.cloud.errors import CloudFailure, OutcomeUnknown, Refused
from shared.cloud.sessions import Role, Sessions
from shared.external_ids import ExternalIdKeys
from shared.log import captured, mask_value
from simulation.wire.system import ACCOUNT_A, ENVIRON, WireSystem, demo_world

B = "2000300040005000"
ARN = f"acs:ram::{B}:role/ecr-authorization"
OLD, NEW = SecretStr(ENVIRON["EXTERNAL_ID_KEY"]), SecretStr("the-next-key-" * 4)
BOTH = ExternalIdKeys(OLD, NEW)
POLICY = json.dumps(
    {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "vpc:*", "Resource": "*"}]}
)


@pytest.fixture
def local():
    with LocalCloud(demo_world()) as running:
        yield running


class Clock:
    at = datetime.now(timezone.utc)


@pytest.fixture
def sessions(local):
    arn = f"acs:ram::{ACCOUNT_A}:role/ecr-authorize"
    own = local.cloud.identity.service_session(arn, "fc.aliyuncs.com", "test", 3600)
    return Sessions(lambda: own_credentials(own), local.url, "cn-hangzhou", lambda: Clock.at)


def own_credentials(own):
    from shared.cloud.credentials import Credentials  # noqa: PLC0415 -- beside its one use

    return Credentials(own.access_key_id, SecretStr(own.secret), SecretStr(own.token))


def trust(local, *keys):
    """Account B trusts the ExternalIds of these keys: StringEquals with a list."""
    role = next(one for one in local.cloud.world.account(B).roles)
    ids = [ExternalIdKeys(key).of(B)[0].get_secret_value() for key in keys]
    role.trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] = ids


def asked(local):
    return sum(entry.action == "AssumeRole" for entry in local.cloud.journal)


def role(keys=BOTH):
    return Role(ARN, *keys.of(B))


@pytest.mark.parametrize(
    ("trusted", "calls"), [([OLD], 1), ([NEW], 2), ([OLD, NEW], 1), ([NEW, OLD], 1)]
)
def test_whichever_of_the_two_account_b_trusts_works(local, sessions, trusted, calls):
    trust(local, *trusted)
    assert sessions.assume(role(), POLICY, "one").access_key_id
    assert asked(local) == calls


def test_the_one_that_worked_is_tried_first_the_next_time(local, sessions):
    trust(local, NEW)
    sessions.assume(role(), POLICY, "one")
    sessions.assume(role(), POLICY, "two")
    assert asked(local) == 3
    trust(local, OLD)  # and back, as it may be in another account or after a mistake
    sessions.assume(role(), POLICY, "three")
    sessions.assume(role(), POLICY, "four")
    assert asked(local) == 3 + 2 + 1


def test_what_worked_is_remembered_for_each_account(local, sessions):
    trust(local, NEW)
    sessions.assume(role(), POLICY, "one")
    other = "3000400050006000"
    there = Role(f"acs:ram::{other}:role/ecr-authorization", *BOTH.of(other))
    sessions.assume(there, POLICY, "two")
    assert asked(local) == 3


def test_where_neither_is_trusted_the_refusal_is_told_after_two_tries(local, sessions):
    trust(local, SecretStr("somebody-else's-key-" * 3))
    with pytest.raises(Refused, match="NoPermission"):
        sessions.assume(role(), POLICY, "one")
    assert asked(local) == 2


def test_the_code_of_its_own_for_an_external_id_is_a_refusal_too(local, sessions):
    local.cloud.behaviour.switches.external_id_refusal = "InvalidParameter.ExternalId"
    trust(local, NEW)
    assert sessions.assume(role(), POLICY, "one").access_key_id


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut"},
        {"kind": "throttle"},
        {"kind": "error", "status": 404, "code": "EntityNotExist.Role"},
        {"kind": "error", "status": 400, "code": "InvalidParameter.PolicySize"},
        {"kind": "error", "status": 500, "code": "InternalError"},
    ],
    ids=lambda one: one.get("code", one["kind"]),
)
def test_any_other_answer_is_not_tried_with_the_other_one(local, sessions, fault):
    local.cloud.behaviour.order(Fault(product="sts", action="AssumeRole", times=-1, **fault))
    with pytest.raises(CloudFailure):
        sessions.assume(role(), POLICY, "one")
    assert asked(local) == 1


def test_a_second_try_without_an_answer_is_unknown_and_not_a_refusal(local, sessions):
    trust(local, NEW)
    local.cloud.behaviour.order(
        Fault(
            product="sts",
            action="AssumeRole",
            kind="error",
            status=403,
            code="NoPermission",
            times=1,
        )
    )
    local.cloud.behaviour.order(Fault(product="sts", action="AssumeRole", kind="cut", times=1))
    with pytest.raises(OutcomeUnknown):
        sessions.assume(role(), POLICY, "one")


def test_without_a_session_policy_neither_is_tried(local, sessions):
    with pytest.raises(ValueError, match="session policy"):
        sessions.assume(role(), "", "one")
    assert asked(local) == 0


def test_keys_are_two_that_differ_and_are_not_shown():
    assert NEW.get_secret_value() not in f"{BOTH!r} {role()!r}"
    with pytest.raises(ValueError, match="no change"):
        ExternalIdKeys(OLD, OLD)
    with pytest.raises(ValueError, match="32"):
        ExternalIdKeys(OLD, SecretStr("short"))
    with pytest.raises(ValueError, match="blanks"):
        ExternalIdKeys(SecretStr("k" * 32 + "\n"))


def test_a_key_stays_masked_whatever_was_masked_since():
    import structlog  # noqa: PLC0415 -- beside its one use

    mask_value("the-key-of-all-keys", always=True)
    for number in range(500):
        mask_value(f"a-secret-of-a-session-{number}")
    with captured() as lines:
        structlog.get_logger().info("said", text="the-key-of-all-keys")
    assert "the-key-of-all-keys" not in str(lines)


class Changing(WireSystem):
    """The functions' keys, as s.yaml gives them; changed, all instances are new."""

    keys: tuple[str, str] = (OLD.get_secret_value(), "")

    def environ(self, name):
        current, following = self.keys
        return super().environ(name) | {
            "EXTERNAL_ID_KEY": current,
            "EXTERNAL_ID_KEY_NEXT": following,
        }

    def deploy(self, current, following=None):
        self.keys = (current.get_secret_value(), following.get_secret_value() if following else "")
        for name in ("ecr-authorize", "ecr-attach", "ecr-cleanup"):
            self.let_go(name)


def test_a_key_is_changed_without_an_outage(tmp_path):
    with Changing(tmp_path) as system:

        def works(number):
            system.post("grant_vpc", request_id=f"CHG-{number}", attach=False)
            system.settle()
            system.post("revoke_vpc", lease="all", request_id=f"R-{number}")
            system.settle(2 * 3600)
            granted = system.outcomes(f"CHG-{number}") == ["granted"]
            return granted and "revoked" in system.outcomes(f"R-{number}")

        assert works(1)
        system.deploy(OLD, NEW)  # 1. the functions know both
        assert works(2)
        trust(system, NEW)  # 2. each account B trusts the new one
        assert works(3)
        system.deploy(NEW)  # 3. the old one goes
        assert works(4)
        system.deploy(OLD)  # which account B does not trust any more
        assert not works(5)


def test_neither_external_id_is_in_a_log_line_or_a_result(tmp_path):
    secrets = [one.get_secret_value() for one in (OLD, NEW, *BOTH.of(B))]
    with captured() as lines, Changing(tmp_path) as system:
        system.deploy(OLD, NEW)
        trust(system, SecretStr("somebody-else's-key-" * 3))
        system.post("grant_vpc")
        system.settle()
        told = f"{lines} {system.results} {system.dead_letters()} {list(system.cloud.journal)}"
    assert "access_denied" in told
    assert not [one for one in secrets if one in told]


def test_a_session_that_is_kept_outlives_a_change_until_its_end(local, sessions):
    first = sessions.assume(role(), POLICY, "one")
    trust(local, NEW)
    assert sessions.assume(role(), POLICY, "one") == first
    Clock.at += timedelta(hours=1)
    assert sessions.assume(role(), POLICY, "one") != first
    Clock.at -= timedelta(hours=1)
