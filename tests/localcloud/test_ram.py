"""RAM: default deny, an explicit Deny wins, conditions hold or they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud import ram
from localcloud.call import Caller

GRANT = "expressconnectrouter:GrantInstanceToExpressConnectRouter"
VPC = "acs:vpc:cn-hangzhou:2000300040005000:vpc/vpc-1"


def statement(effect="Allow", action=GRANT, resource=VPC, **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements):
    document = {"Version": "1", "Statement": list(statements)}
    ram.check(document)
    return document


def may(policies, session=None, action=GRANT, resource=VPC, **context):
    caller = Caller("2000300040005000", "arn", "role", "k", tuple(policies), session)
    return ram.allowed(caller, action, resource, context)


def test_what_no_policy_allows_is_denied():
    assert not may([])
    assert not may([policy(statement(action="vpc:*"))])


def test_a_deny_wins_wherever_it_stands():
    allow, deny = statement(), statement("Deny", action="expressconnectrouter:Grant*")
    assert may([policy(allow)])
    assert not may([policy(allow, deny)])
    assert not may([policy(deny), policy(allow)])


def test_actions_compare_without_case_and_resources_with_it():
    assert may([policy(statement(action=GRANT.upper()))])
    assert not may([policy(statement(resource=VPC.upper()))])


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("*", True),
        ("acs:vpc:*:*:vpc/*", True),
        ("acs:vpc:cn-hangzhou:2000300040005000:vpc/vpc-?", True),
        ("acs:vpc:cn-hangzhou:2000300040005000:vpc/vpc-??", False),
        ("acs:vpc:*:3000400050006000:vpc/*", False),
        ("acs.vpc:cn-hangzhou:2000300040005000:vpc/vpc-1", False),
        (["acs:vpc:*:x:*", VPC], True),
    ],
)
def test_wildcards_are_star_and_question_mark_and_nothing_else(pattern, fits):
    assert may([policy(statement(resource=pattern))]) == fits


def test_not_action_and_not_resource_turn_it_round():
    other = {"Effect": "Allow", "NotAction": "vpc:*", "NotResource": "acs:ecs:*"}
    assert may([policy(other)])
    assert not may([policy({**other, "NotAction": GRANT})])
    assert not may([policy({**other, "NotResource": VPC})])


def test_a_session_policy_is_an_intersection():
    wide, narrow = policy(statement(action="*", resource="*")), policy(statement())
    assert may([wide], session=narrow)
    assert not may([wide], session=narrow, resource=VPC + "2")
    assert not may([narrow], session=wide, resource=VPC + "2")


@pytest.mark.parametrize(
    ("operator", "key", "value", "given", "holds"),
    [
        ("StringEquals", "sts:ExternalId", "a", "a", True),
        ("StringEquals", "sts:ExternalId", "a", "A", False),
        ("StringEquals", "sts:ExternalId", ["b", "a"], "a", True),
        ("StringEquals", "sts:ExternalId", "a", None, False),
        ("StringNotEquals", "k", "a", "b", True),
        ("StringNotEquals", "k", "a", None, True),
        ("StringEqualsIgnoreCase", "k", "a", "A", True),
        ("StringLike", "k", "vpc-*", "vpc-1", True),
        ("StringNotLike", "k", "vpc-*", "vbr-1", True),
        ("NumericLessThan", "k", "5", "4", True),
        ("NumericLessThan", "k", "5", "x", False),
        ("Bool", "acs:SecureTransport", "true", "true", True),
        ("Bool", "acs:SecureTransport", "true", "false", False),
        ("IpAddress", "acs:SourceIp", "10.0.0.0/8", "10.1.2.3", True),
        ("IpAddress", "acs:SourceIp", "10.0.0.0/8", "11.1.2.3", False),
        ("NotIpAddress", "acs:SourceIp", "10.0.0.0/8", "11.1.2.3", True),
        ("DateLessThan", "acs:CurrentTime", "2030-01-01T00:00:00Z", "2026-01-01T00:00:00Z", True),
        (
            "DateGreaterThan",
            "acs:CurrentTime",
            "2030-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            False,
        ),
    ],
)
def test_a_condition_holds_or_it_does_not(operator, key, value, given, holds):
    document = policy(statement(Condition={operator: {key: value}}))
    context = {} if given is None else {key: given}
    caller = Caller("2", "arn", "user", "k", (document,))
    assert ram.allowed(caller, GRANT, VPC, context) == holds


def test_all_conditions_of_a_statement_must_hold():
    both = {"StringEquals": {"a": "1", "b": "2"}, "Bool": {"c": "true"}}
    document = policy(statement(Condition=both))
    caller = Caller("2", "arn", "user", "k", (document,))
    assert ram.allowed(caller, GRANT, VPC, {"a": "1", "b": "2", "c": "true"})
    assert not ram.allowed(caller, GRANT, VPC, {"a": "1", "b": "2"})


@pytest.mark.parametrize(
    "principal",
    [
        {"RAM": ["acs:ram::1000200030004000:role/ecr-authorize"]},
        {"RAM": "acs:ram::1000200030004000:root"},
        {"RAM": ["*"]},
    ],
)
def test_a_trust_policy_names_a_role_or_its_account(principal):
    trust = {
        "Version": "1",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}],
    }
    ram.check(trust, trust=True)
    asker = {"RAM": "acs:ram::1000200030004000:role/ecr-authorize", "account": "1000200030004000"}
    assert ram.trusts(trust, asker, {})
    assert not ram.trusts(trust, {"Service": "fc.aliyuncs.com"}, {})


def test_a_trust_policy_may_say_which_actions_it_is_not_about():
    one = {"Effect": "Allow", "Principal": {"Service": ["fc.aliyuncs.com"]}}
    asker = {"Service": "fc.aliyuncs.com"}
    for not_about, trusted in (("sts:GetCallerIdentity", True), ("sts:*", False)):
        trust = {"Version": "1", "Statement": [{**one, "NotAction": not_about}]}
        ram.check(trust, trust=True)
        assert ram.trusts(trust, asker, {}) is trusted


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "Version"),
        ({"Version": "1", "Statement": []}, "not empty"),
        ({"Version": "1", "Statement": [{}]}, "Effect"),
        ({"Version": "1", "Statement": [statement("Maybe")]}, "Effect"),
        ({"Version": "1", "Statement": [statement(Colour="blue")]}, "Colour"),
        ({"Version": "1", "Statement": [statement(NotAction="x")]}, "Action"),
        ({"Version": "1", "Statement": [statement(Condition={"Wish": {}})]}, "Wish"),
        ({"Version": "1", "Statement": [statement()], "Extra": 1}, "Extra"),
    ],
)
def test_a_policy_that_ram_would_not_take_is_refused_with_its_reason(document, reason):
    with pytest.raises(ram.PolicyError, match=reason):
        ram.check(document)


@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_is_allowed_by_a_policy_for_something_else(action, resource):
    assert may([policy(statement())], action=action, resource=resource) == (
        action.lower() == GRANT.lower() and resource == VPC
    )
