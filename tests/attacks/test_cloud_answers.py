"""The cloud's answers are untrusted too: nothing that was not asked for is taken for ours."""

from __future__ import annotations

import json

import pytest

from shared.cloud.errors import Refused, failure
from shared.log import captured
from simulation.wire.system import WireSystem
from tests.attacks.conftest import access, lie, put, revoke, sample, writes

LIST = "DescribeExpressConnectRouterAssociation"
OTHER = {
    "VpcId": "vpc-bp1factory00plc",
    "VpcOwnerId": "3000400050006000",
    "AssociationId": "ecr-assoc-of-others",
    "EcrId": "ecr-hz7core4qk2m1",
    "RegionId": "cn-hangzhou",
    "Status": "ACTIVE",
}


def rows(change):
    """A listing whose rows are what `change` makes of them."""
    return lambda body, _: {**body, "AssociationList": change(body["AssociationList"])}


def alike(**differs):
    """A row of the instance that is asked for, but for one thing."""
    ours = {**OTHER, "VpcId": "vpc-bp1payments0main", "VpcOwnerId": "2000300040005000"}
    return {**ours, **differs}


@pytest.mark.parametrize(
    "row",
    [
        OTHER,
        alike(VpcOwnerId="3000400050006000"),
        alike(RegionId="cn-shanghai"),
        alike(EcrId="ecr-sg3edge8wv5n2"),
        alike(VpcId="VPC-BP1PAYMENTS0MAIN"),
        alike(VpcId="vpc-bp1payments0main "),
        alike(VpcId=None),
        alike(VpcId=["vpc-bp1payments0main"]),
    ],
    ids=["instance", "owner", "region", "ecr", "case", "blank", "nothing", "list"],
)
def test_a_row_of_another_instance_is_not_taken_for_the_association(system, row):
    """The listing shows it in place of ours: `attached` is not said."""
    lie(system, LIST, rows(lambda _: [row]))
    put(system, sample("grant_vpc"))
    system.settle(20)
    assert system.outcomes("CHG-1001") == ["granted"]


@pytest.mark.parametrize("first", [True, False])
def test_rows_of_others_mixed_in_are_left_alone(system, first):
    """Dissociating takes ours, whatever else the listing shows, before it or after it."""
    put(system, sample("grant_vpc"))
    system.settle()
    lie(system, LIST, rows(lambda found: [OTHER, *found] if first else [*found, OTHER]))
    named = []
    lie(
        system,
        "DeleteExpressConnectRouterAssociation",
        lambda body, question: named.append(question["AssociationId"]) or body,
    )
    put(system, revoke("grant_vpc", request_id="R-1", lease="CHG-1001"))
    system.settle()
    assert system.outcomes("R-1") == ["revoking", "detached", "revoked"]
    assert "ecr-assoc-of-others" not in named
    assert access(system) == (set(), set())


ODD = [7, {"a": 1}, "a\nb", "x" * 10_000, "../x"]


@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:12])
def test_an_association_id_that_is_none_is_not_kept(system, value):
    """What is on the ledger must be readable for ever after: nothing odd gets there."""

    def changed(body, _):
        found = [{**row, "AssociationId": value} for row in body.get("AssociationList", [])]
        return {**body, "AssociationList": found, "AssociationId": value}

    lie(system, LIST, changed)
    lie(system, "CreateExpressConnectRouterAssociation", changed)
    put(system, sample("grant_vpc"))
    system.settle(20)
    assert system.outcomes("CHG-1001") == ["granted"]
    system.cloud.behaviour.clear()
    house = system.built("ecr-attach").house
    ((key, record),) = house.ledger.authorizations("", "", 10)
    house.close()
    assert record is not None, key
    assert record.association.association_id is None


FORMS = {
    "a word for the rows": {"AssociationList": "x"},
    "an object for the rows": {"AssociationList": {"a": 1}},
    "words as rows": {"AssociationList": ["x", 1]},
    "a number for the rows": {"AssociationList": 1},
    "an object for the next page": {"AssociationList": [], "NextToken": {"a": 1}},
    "a number for the next page": {"AssociationList": [], "NextToken": 7},
    "the same page again": {"AssociationList": [], "NextToken": "again"},
    "a failure in words": {"AssociationList": [], "Success": "false"},
    "a failure in numbers": {"AssociationList": [], "Success": 0},
    "no request id": {"AssociationList": [], "RequestId": None},
    "a number for the request id": {"AssociationList": [], "RequestId": 1},
    "an empty object": None,
    "an empty array": None,
    "a word": None,
}
WHOLE = {"an empty object": {}, "an empty array": [], "a word": "ok"}


@pytest.mark.parametrize("form", FORMS)
def test_a_listing_of_another_form_does_not_say_that_something_is_gone(tmp_path, form):
    """Nothing is said to be detached, the grant is not revoked; no error of Python gets through."""
    with captured() as lines, WireSystem(tmp_path) as system:
        put(system, sample("grant_vpc", request_id="CHG-1"))
        system.settle()
        grants, _ = access(system)
        system.clock.advance(120)  # what was seen is no news any more: it is looked at anew
        lie(system, LIST, lambda body, _: WHOLE.get(form, {**body, **(FORMS[form] or {})}))
        put(system, revoke("grant_vpc", request_id="R-1", lease="CHG-1"))
        system.settle(20)
        assert system.outcomes("R-1") in (["revoking"], ["revoking", "failed"])
        assert access(system)[0] == grants
        assert "RevokeInstanceFromExpressConnectRouter" not in writes(system)
    errors = {line["exception"]["type"] for line in lines if "exception" in line}
    assert errors <= {"OutcomeUnknown"}


def test_a_listing_without_end_is_given_up(system):
    """Every page names another one: 50 are asked for in one look, and no more."""
    pages = []

    def endless(body, _):
        pages.append(1)
        return {**body, "AssociationList": [], "NextToken": f"page-{len(pages)}"}

    lie(system, LIST, endless)
    system.cloud.behaviour.switches.quotas = False
    put(system, sample("grant_vpc"))
    system.settle(3)
    assert system.outcomes("CHG-1001") == ["granted"]
    assert len(pages) % 50 == 0
    assert 50 <= len(pages) <= 300


def test_a_page_of_many_rows_is_read_for_ours_alone(system):
    lie(system, LIST, rows(lambda found: [OTHER] * 20_000 + found))
    put(system, sample("grant_vpc"))
    system.settle(300)
    assert system.outcomes("CHG-1001") == ["granted", "attached"]
    (attached,) = [one for one in system.results if one["outcome"] == "attached"]
    assert attached["association_id"] != "ecr-assoc-of-others"


def user(arn):
    return lambda body, _: {**body, "AssumedRoleUser": {"Arn": arn, "AssumedRoleId": "1:x"}}


def keys(**changed):
    return lambda body, _: {**body, "Credentials": {**body["Credentials"], **changed}}


CREDENTIALS = {
    "of another account": user("acs:ram::3000400050006000:assumed-role/ecr-authorization/x"),
    "of an account with a like number": user("acs:ram::20003000400050009:assumed-role/x/x"),
    "of another cloud": user("arn:acs:ram::2000300040005000:role/x"),
    "of nobody": user(None),
    "of a number": user(7),
    "of a second line": user("\nacs:ram::2000300040005000:assumed-role/x/x"),
    "secret number": keys(AccessKeySecret=7),
    "no secret": keys(AccessKeySecret=""),
    "list of keys": keys(AccessKeyId=["x"]),
    "token object": keys(SecurityToken={"a": 1}),
    "end some time": keys(Expiration="soon"),
    "no end": keys(Expiration=None),
    "none": lambda body, _: {**body, "Credentials": None},
    "word": lambda body, _: {**body, "Credentials": "x"},
}


def test_credentials_of_another_account_or_form_are_not_used(tmp_path):
    with captured() as lines, WireSystem(tmp_path) as system:
        for number, change in enumerate(CREDENTIALS.values()):
            lie(system, "AssumeRole", change)
            put(system, sample("grant_vpc", request_id=f"X-{number}"))
            system.settle(2)
            assert "granted" not in system.outcomes(f"X-{number}")
        assert system.calls("sts").count("AssumeRole") >= len(CREDENTIALS)
        assert system.calls("ecr", "vpc") == []
        assert access(system) == (set(), set())
    errors = {line["exception"]["type"] for line in lines if "exception" in line}
    assert errors <= {"OutcomeUnknown", "Refused"}


GRANT = "GrantInstanceToExpressConnectRouter"
LOOK = "DescribeVpcGrantRulesToEcr"


YES = [{}, [], "yes", {"Success": "true"}, {"RequestId": "x", "Success": 1}, {"RequestId": 7}]


@pytest.mark.parametrize("body", YES, ids=str)
def test_an_answer_that_is_no_yes_is_none(system, body):
    """The cloud says something, and account B shows no grant: nothing is said to be granted."""
    lie(system, GRANT, lambda *_: body)
    lie(system, LOOK, lambda told, _: {**told, "GrantRuleModels": []})
    put(system, sample("grant_vpc"))
    system.settle(30)
    assert system.outcomes("CHG-1001") == []


@pytest.mark.parametrize(
    "row",
    [
        {"EcrId": "ecr-sg3edge8wv5n2"},
        {"EcrOwnerId": 3000400050006000},
        {"InstanceId": "vpc-bp1payments0test"},
        {"InstanceId": None},
    ],
    ids=str,
)
def test_a_grant_of_another_ecr_or_instance_is_not_taken_for_ours(system, row):
    """The grant has no answer, so account B is looked at: its rows are of something else."""

    def changed(body, _):
        return {**body, "GrantRuleModels": [{**one, **row} for one in body["GrantRuleModels"]]}

    lie(system, GRANT, lambda *_: {})
    lie(system, LOOK, changed)
    put(system, sample("grant_vpc"))
    system.settle(30)
    assert access(system)[0] != set()
    assert system.outcomes("CHG-1001") == []


NASTY = "<b>\n# head |x| `y` [a](javascript:1) \x1b]8;;http://evil\x07\u2028\u202e" + "z" * 9000


def test_what_the_cloud_says_is_one_short_printable_line(tmp_path):
    """Its code, its sentence and its request id go into logs, results and reports."""
    with captured() as lines, WireSystem(tmp_path) as system:
        lie(
            system,
            GRANT,
            lambda body, _: {
                **body,
                "Success": False,
                "Code": "QuotaExceeded.x",
                "Message": NASTY,
                "RequestId": NASTY,
            },
        )
        lie(system, LOOK, lambda told, _: {**told, "GrantRuleModels": []})
        put(system, sample("grant_vpc"))
        system.settle()
        problem = system.problem("CHG-1001")
        raw = json.dumps(system.results, ensure_ascii=False) + json.dumps(lines)
    assert problem["code"] == "quota_exceeded"
    assert problem["message"].isprintable()
    assert problem["cloud_request_id"].isprintable()
    assert len(problem["message"]) < 600
    assert "z" * 600 not in raw
    assert "\x1b" not in raw


@pytest.mark.parametrize("code", [NASTY, "", " Conflict.Lock", "Conflict.Lock\n", "é", "a b"])
def test_a_code_of_another_form_is_none_that_we_know(code):
    made = failure(code, "x")
    assert made.cloud_code == "UnreadableCode"
    assert not isinstance(made, Refused)


def test_a_lying_listing_never_makes_the_clean_up_revoke(tmp_path):
    """Rows of strangers in the ECR's own listing, and of another ECR's owner, are only named."""
    with WireSystem(tmp_path) as system:
        put(system, sample("grant_vpc"))
        system.settle()
        system.clean()

        def changed(body, _):
            odd = [{"NodeId": "x'; --", "NodeType": "VPC", "GrantId": NASTY}]
            return {**body, "EcrGrantedInstanceList": odd}

        lie(system, "DescribeInstanceGrantedToExpressConnectRouter", changed)
        before = writes(system)
        system.clean()
        system.settle()
        assert writes(system) == before
        (told,) = [one for one in system.results[-1:] if one["outcome"] == "swept"]
        rows_ = [one for one in told["findings"] if one["name"] == "unreadable"]
        assert rows_
        assert all(one["sentence"].isprintable() for one in rows_)
