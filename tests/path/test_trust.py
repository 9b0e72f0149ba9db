"""Who may become whom: each change of a trust policy fails a check that has a name."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from localcloud.world import AccessKey, User
from shared.cloud.credentials import Credentials
from shared.cloud.errors import CloudFailure
from shared.cloud.sessions import Role, Sessions
from shared.external_ids import external_id
from simulation.wire.system import ACCOUNT_A, ENVIRON, WireSystem, demo_world

ACCOUNT_B = "2000300040005000"
ROLE_B = f"acs:ram::{ACCOUNT_B}:role/ecr-authorization"
AUTHORIZE = f"acs:ram::{ACCOUNT_A}:role/ecr-authorize"
SECRET = external_id(SecretStr(ENVIRON["EXTERNAL_ID_KEY"]), ACCOUNT_B)
POLICY = '{"Version":"1","Statement":[{"Effect":"Allow","Action":"vpc:*","Resource":"*"}]}'
ANY_ROLE = {
    "Version": "1",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
}


def trust_of(world, account_uid, name):
    account = world.account(account_uid)
    return next(one for one in account.roles if one.name == name).trust["Statement"][0]


def may_assume(system, credentials, secret):
    """The role of account B can be assumed with this ExternalId by these credentials."""
    sessions = Sessions(lambda: credentials, system.local.url, "cn-hangzhou", system.now)
    try:
        sessions.assume(Role(ROLE_B, SecretStr(secret)), POLICY, "test")
    except CloudFailure:
        return False
    return True


def of_role(system, role, service="fc.aliyuncs.com"):
    arn = f"acs:ram::{ACCOUNT_A}:role/{role}"
    session = system.cloud.identity.service_session(arn, service, "test", 3600)
    return Credentials(session.access_key_id, SecretStr(session.secret), SecretStr(session.token))


def trust_story(system):
    """Who gets into account B; each line is a check by its name."""
    authorize = of_role(system, "ecr-authorize")
    secret = SECRET.get_secret_value()
    other = external_id(SecretStr(ENVIRON["EXTERNAL_ID_KEY"]), "3000400050006000")
    insider = Credentials("LTAI-insider", SecretStr("insider"), SecretStr(""))
    return {
        "authorize gets in": may_assume(system, authorize, secret),
        "a wrong ExternalId does not": not may_assume(system, authorize, "ecr-" + "a" * 52),
        "another account's does not": not may_assume(system, authorize, other.get_secret_value()),
        "a letter's case counts": not may_assume(system, authorize, secret.upper()),
        "another role does not": not may_assume(system, of_role(system, "ecr-attach"), secret),
        "a user of account A does not": not may_assume(system, insider, secret),
    }


def world():
    """The demo's, with people in account A who may assume any role that trusts them."""
    found = demo_world()
    account = found.account(ACCOUNT_A)
    key = AccessKey(id="LTAI-insider", secret="insider")
    account.users.append(User(name="insider", access_keys=[key], policies=[ANY_ROLE]))
    next(one for one in account.roles if one.name == "ecr-attach").policies.append(ANY_ROLE)
    return found


def test_one_role_gets_into_account_b_and_with_one_external_id(tmp_path):
    with WireSystem(tmp_path, world()) as system:
        assert all(trust_story(system).values()), trust_story(system)


def no_condition(trust):
    del trust["Condition"]


def any_external_id(trust):
    trust["Condition"] = {"StringLike": {"sts:ExternalId": ["*"]}}


def whatever_the_case(trust):
    trust["Condition"] = {"StringEqualsIgnoreCase": {"sts:ExternalId": [SECRET.get_secret_value()]}}


def other_than_a_word(trust):
    trust["Condition"] = {"StringNotEquals": {"sts:ExternalId": ["nothing"]}}


def the_whole_account(trust):
    trust["Principal"] = {"RAM": [f"acs:ram::{ACCOUNT_A}:root"]}


def everybody(trust):
    trust["Principal"] = {"RAM": ["*"]}


def another_principal(trust):
    trust["Principal"] = {"RAM": [f"acs:ram::{ACCOUNT_A}:role/ecr-attach"]}


def a_wrong_external_id(trust):
    trust["Condition"] = {"StringEquals": {"sts:ExternalId": ["ecr-" + "b" * 52]}}


def denied(trust):
    trust["Effect"] = "Deny"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (no_condition, "a wrong ExternalId does not"),
        (any_external_id, "another account's does not"),
        (whatever_the_case, "a letter's case counts"),
        (other_than_a_word, "a wrong ExternalId does not"),
        (the_whole_account, "a user of account A does not"),
        (everybody, "another role does not"),
        (another_principal, "authorize gets in"),
        (a_wrong_external_id, "authorize gets in"),
        (denied, "authorize gets in"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_change_of_account_bs_trust_fails_by_its_name(tmp_path, change, check):
    changed = world()
    change(trust_of(changed, ACCOUNT_B, "ecr-authorization"))
    with WireSystem(tmp_path, changed) as system:
        assert not trust_story(system)[check]


@pytest.mark.parametrize("account", [ACCOUNT_B, ACCOUNT_A], ids=["account B", "account A"])
def test_without_the_trust_nothing_is_granted(tmp_path, account):
    changed = demo_world()
    name = "ecr-authorization" if account == ACCOUNT_B else "ecr-authorize"
    trust_of(changed, account, name)["Principal"] = {"RAM": ["acs:ram::9000900090009000:root"]}
    with WireSystem(tmp_path, changed) as system:
        system.post("grant_vpc")
        system.settle()
        assert "granted" not in system.outcomes("CHG-1001")
