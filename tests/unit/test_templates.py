"""The ROS templates keep to the rules of least privilege, and tricks that widen them are seen."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

from localcloud import ros_types
from localcloud.ros import Template, TemplateError

INFRA = Path(__file__).parents[2] / "infra"
A, B = "1000200030004000", "2000300040005000"
SECRET = "ecr-" + "a" * 52
ROLES_B = f"acs:ram::{B}:role/ecr-authorization,acs:ram::3000400050006000:role/ecr-authorization"
GOOD = {
    "account-a.yaml": (A, {"RolesB": ROLES_B}),
    "account-a-more.yaml": (A, {"RolesB": ROLES_B, "Number": "2"}),
    "account-b.yaml": (B, {"AccountA": A, "ExternalId": SECRET}),
}
# An ARN names its account, and a kind of thing in it; a region may be any.
ARN = re.compile(
    r"acs:(mns:cn-hangzhou:(?P<mns>\d{16}):/"
    r"(queues/[a-z-]+(/messages)?|topics/[a-z-]+/(messages|subscriptions/[a-z-]+))"
    r"|(vpc|expressconnect|expressconnectrouter):\*:(?P<net>\d{16})"
    r":(vpc|virtualborderrouter|expressconnectrouter)/\*"
    r"|fc:cn-hangzhou:(?P<fc>\d{16}):functions/[a-z-]+)"
)
ROLE = re.compile(r"acs:ram::\d{16}:role/[a-z0-9.-]+")
ACTION = re.compile(r"[a-z]+:[A-Za-z]+")


def stack(name, **changes):
    account, given = GOOD[name]
    return Template.load(INFRA / name).create(
        {**given, **changes}, account_uid=account, region="cn-hangzhou", name="stack"
    )


def properties(name):
    return [copy.deepcopy(one.properties) for one in stack(name).resources.values()]


def faults(found, account):
    """What in the policies and trusts of a stack is wider than it may be."""
    said = []
    for one in found:
        for _, policy, trust in one.policies():
            for statement in policy["Statement"]:
                said += trust_faults(statement) if trust else policy_faults(statement, account)
    return said


def policy_faults(statement, account):
    said = []
    if set(statement) != {"Effect", "Action", "Resource"} or statement["Effect"] != "Allow":
        return ["not a plain Allow of actions on resources"]
    said += [f"a pattern: {one}" for one in statement["Action"] if not ACTION.fullmatch(one)]
    for arn in statement["Resource"]:
        if statement["Action"] == ["sts:AssumeRole"]:
            fits = ROLE.fullmatch(arn)
        else:
            match = ARN.fullmatch(arn)
            fits = match and account in match.groups()
        if not fits or any("assumerole" in one.lower() for one in statement["Action"][1:]):
            said.append(f"a resource that is not named: {arn}")
    return said


def trust_faults(statement):
    principal = statement.get("Principal", {})
    plain = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    if "Service" in principal:
        allowed = ({"Service": ["fc.aliyuncs.com"]}, {"Service": ["mns.aliyuncs.com"]})
        good = statement == plain and principal in allowed
    else:
        good = principal == {"RAM": [f"acs:ram::{A}:role/ecr-authorize"]} and statement == {
            **plain,
            "Condition": {"StringEquals": {"sts:ExternalId": [SECRET]}},
        }
    return [] if good else [f"a trust that is wider: {statement}"]


@pytest.mark.parametrize("name", GOOD)
def test_nothing_in_a_template_is_wider_than_it_may_be(name):
    assert faults(properties(name), GOOD[name][0]) == []


def test_each_function_has_a_role_that_trusts_function_compute_alone():
    roles = {one.RoleName: one for one in properties("account-a.yaml") if hasattr(one, "RoleName")}
    functions = {f"ecr-{one}" for one in ("authorize", "attach", "cleanup", "intake", "notify")}
    assert set(roles) == functions | {"ecr-notify-invocation"}
    for name, role in roles.items():
        service = "mns" if name.endswith("invocation") else "fc"
        principal = role.AssumeRolePolicyDocument["Statement"][0]["Principal"]
        assert principal == {"Service": [f"{service}.aliyuncs.com"]}


def test_the_functions_of_the_deployment_have_the_roles_of_the_template():
    text = (INFRA.parent / "s.yaml").read_text()
    used = set(re.findall(r"role: acs:ram::\$\{vars\.account\}:role/([a-z-]+)", text))
    made = {one.RoleName for one in properties("account-a.yaml") if hasattr(one, "RoleName")}
    assert used
    assert used <= made


WIDER = [
    ("account-a.yaml", "ecr-attach", {"Action": ["expressconnectrouter:*"]}),
    ("account-a.yaml", "ecr-attach", {"Action": ["mns:Send?essage"]}),
    ("account-a.yaml", "ecr-attach", {"Resource": ["*"]}),
    (
        "account-a.yaml",
        "ecr-attach",
        {"Resource": [f"acs:mns:*:{B}:/queues/ecr-requests/messages"]},
    ),
    ("account-a.yaml", "ecr-attach", {"Resource": [f"acs:mns:cn-hangzhou:{A}:/queues/*/messages"]}),
    ("account-a.yaml", "ecr-attach", {"Resource": ["acs:vpc:*:*:vpc/*"]}),
    ("account-a.yaml", "ecr-attach", {"Condition": {"Bool": {"acs:SecureTransport": "false"}}}),
    ("account-a.yaml", "ecr-authorize", {"Resource": ["acs:ram::*:role/ecr-authorization"]}),
    ("account-a.yaml", "ecr-authorize", {"Resource": [f"acs:ram::{B}:role/*"]}),
    ("account-a.yaml", "ecr-authorize", {"Action": ["sts:*"]}),
    ("account-a.yaml", "ecr-authorize", {"Action": ["sts:AssumeRole", "STS:assumerole"]}),
]


@pytest.mark.parametrize(("name", "role", "change"), WIDER)
def test_a_wider_statement_is_seen(name, role, change):
    found = properties(name)
    statements = next(one for one in found if getattr(one, "RoleName", "") == role)
    statements.Policies[0].PolicyDocument["Statement"][0].update(change)
    assert faults(found, GOOD[name][0])


@pytest.mark.parametrize("key", ["Action", "Resource"])
def test_all_but_these_is_seen(key):
    found = properties("account-b.yaml")
    statement = found[0].Policies[0].PolicyDocument["Statement"][0]
    statement[f"Not{key}"] = statement.pop(key)
    assert faults(found, B)


@pytest.mark.parametrize(
    "principal",
    [
        {"RAM": [f"acs:ram::{A}:root"]},
        {"RAM": ["*"]},
        {"RAM": [f"acs:ram::{A}:role/*"]},
        {"RAM": [f"acs:ram::{A}:role/ecr-authorize", f"acs:ram::{B}:role/mine"]},
        {"RAM": [f"acs:ram::{A}:role/ecr-authorize"], "Service": ["ecs.aliyuncs.com"]},
        {"Service": ["ecs.aliyuncs.com"]},
        {"Federated": ["acs:ram::1:saml-provider/x"]},
    ],
)
def test_a_wider_trust_is_seen(principal):
    found = properties("account-b.yaml")
    found[0].AssumeRolePolicyDocument["Statement"][0]["Principal"] = principal
    assert faults(found, B)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("account-a.yaml", "RolesB", "*"),
        ("account-a.yaml", "RolesB", "acs:ram::*:role/ecr-authorization"),
        ("account-a.yaml", "RolesB", f"acs:ram::{B}:role/*"),
        ("account-a.yaml", "RolesB", f"acs:ram::{B}:role/ecr-authorization,*"),
        ("account-a.yaml", "RolesB", f"acs:ram::{B}:role/ecr-authorization, acs:ram::*:role/x"),
        ("account-a.yaml", "RolesB", f"acs:ram::{B}:role/ecr-authorization\n,*"),
        ("account-a.yaml", "RolesB", f"acs:ram::{B}:root"),
        ("account-a.yaml", "RolesB", f"acs:ram::{B}:user/somebody"),
        ("account-a.yaml", "RolesB", ""),
        ("account-a.yaml", "RolesB", ",".join([f"acs:ram::{B}:role/r"] * 101)),
        ("account-a-more.yaml", "Number", "2*"),
        ("account-b.yaml", "AccountA", "*"),
        ("account-b.yaml", "AccountA", "100020003000400?"),
        ("account-b.yaml", "AccountA", f"{A}:root"),
        ("account-b.yaml", "AccountA", f"{A}\n"),
        ("account-b.yaml", "AccountA", "１０００２０００３０００４０００"),  # wide digits
        ("account-b.yaml", "AuthorizeRole", "*"),
        ("account-b.yaml", "AuthorizeRole", "ecr-*"),
        ("account-b.yaml", "AuthorizeRole", "ecr-authorize/../../root"),
        ("account-b.yaml", "AuthorizeRole", "${ALIYUN::TenantId}"),
        ("account-b.yaml", "ExternalId", ""),
        ("account-b.yaml", "ExternalId", "*"),
        ("account-b.yaml", "ExternalId", "ecr-" + "a" * 51 + "*"),
        ("account-b.yaml", "ExternalId", SECRET + "\n"),
        ("account-b.yaml", "ExternalId", "short"),
    ],
)
def test_a_parameter_cannot_widen_a_template(name, parameter, value):
    with pytest.raises(TemplateError, match=f"Parameters.{parameter}") as refused:
        stack(name, **{parameter: value})
    if len(value) > 5:
        assert value not in str(refused.value)


def test_the_external_id_is_in_the_trust_and_nowhere_else():
    made = stack("account-b.yaml")
    assert SECRET not in str(made.outputs)
    assert SECRET not in str(made.parameters)
    role = made.resources["Authorization"].properties
    assert isinstance(role, ros_types.Role)
    assert SECRET in str(role.AssumeRolePolicyDocument)
    assert SECRET not in f"{role.Description} {role.Policies}"


def test_a_hundred_accounts_fit_into_a_policy():
    roles = ",".join(f"acs:ram::{10**15 + n}:role/ecr-authorization" for n in range(100))
    assert stack("account-a.yaml", RolesB=roles).resources
