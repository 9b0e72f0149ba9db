"""The doctor over the wire: a healthy world has no finding, each broken one just its own."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime, timezone

import pytest
from pydantic import SecretStr

from functions.triggers import BadEvent
from localcloud.behaviour import Fault
from localcloud.ecr.state import Subject
from localcloud.world import Vbr
from shared.authorization import Authorization
from shared.cloud.errors import CloudFailure
from shared.cloud.sessions import joint_policy, session_policy
from shared.contract import AuthorizationId
from shared.converge import Step
from shared.doctor.account_a import DEAD, FORM, QUEUES, SUBSCRIPTIONS, TOPIC
from shared.doctor.probing import _IN_ONE_SESSION, _NOWHERE
from shared.doctor.remedies import EXPLAINED
from shared.external_ids import ExternalIdKeys
from shared.ledger.sql import SqlLedger
from shared.turns import Turns
from simulation.wire.system import ACCOUNT_A, ENVIRON, ROOT, WireSystem, demo_world
from tests.path.test_ecrauth import environment, in_environment
from tests.path.test_ecrauth import run as run  # noqa: PLC0414 -- a fixture

B, FACTORY, LABORATORY = "2000300040005000", "3000400050006000", "4000500060007000"
ECR = "ecr-hz7core4qk2m1"


def role(world, uid=B):
    return world.account(uid).roles[0]


def trust(world):
    return role(world).trust["Statement"][0]


def without(world, action, uid=B):
    for policy in role(world, uid).policies:
        for statement in policy["Statement"]:
            statement["Action"] = [one for one in statement["Action"] if not one.endswith(action)]


def topic(world):
    return world.account(ACCOUNT_A).topics[0]


def no_role(world):
    world.account(B).roles.clear()


def no_account(world):
    world.accounts = [one for one in world.accounts if one.uid != B]


def another_principal(world):
    trust(world)["Principal"] = {"RAM": [f"acs:ram::{ACCOUNT_A}:role/ecr-attach"]}


def another_external_id(world):
    trust(world)["Condition"] = {"StringEquals": {"sts:ExternalId": ["ecr-" + "b" * 52]}}


def no_condition(world):
    del trust(world)["Condition"]


def any_external_id(world):
    trust(world)["Condition"] = {"StringLike": {"sts:ExternalId": ["ecr-*"]}}


def not_in_account_as_stack(world):
    for policy in next(
        one for one in world.account(ACCOUNT_A).roles if one.name == "ecr-authorize"
    ).policies:
        for statement in policy["Statement"]:
            if "sts:AssumeRole" in statement["Action"]:
                statement["Resource"] = [one for one in statement["Resource"] if B not in one]


def no_grant(world):
    without(world, ":GrantInstanceToExpressConnectRouter")


def no_revoke(world):
    without(world, ":RevokeInstanceFromExpressConnectRouter")


def no_look(world):
    without(world, ":DescribeVpcGrantRulesToEcr")


def no_look_at_vbrs(world):
    without(world, ":DescribeGrantRulesToEcr", FACTORY)


def no_vbr_arn(world):
    for policy in role(world, FACTORY).policies:
        for statement in policy["Statement"]:
            kept = [one for one in statement["Resource"] if "acs:expressconnect:" not in one]
            statement["Resource"] = kept


def no_region(world):
    world.regions.remove("ap-southeast-1")


def no_ecr(world):
    account = world.account(ACCOUNT_A)
    account.ecrs = [one for one in account.ecrs if one.id != ECR]


def ecr_of_another(world):
    account = world.account(ACCOUNT_A)
    (moved,) = [one for one in account.ecrs if one.id == ECR]
    account.ecrs.remove(moved)
    world.account(B).ecrs.append(moved)


def no_queue(world):
    account = world.account(ACCOUNT_A)
    account.queues = [one for one in account.queues if one.name != "ecr-answers-dead"]


def no_topic(world):
    world.account(ACCOUNT_A).topics.clear()


def no_subscription(world):
    topic(world).subscriptions.pop(0)


def another_tag(world):
    topic(world).subscriptions[0].filter_tag = "attached"


def another_form(world):
    topic(world).subscriptions[1].notify_content_format = "XML"


def another_queue(world):
    one = topic(world).subscriptions[2]
    one.endpoint = one.endpoint.replace("ecr-requests", "ecr-attachments")


BROKEN = [
    (no_role, {("role_missing", B)}),
    (no_account, {("role_missing", B)}),
    (another_principal, {("role_not_trusting", B)}),
    (another_external_id, {("role_not_trusting", B)}),
    (not_in_account_as_stack, {("role_not_trusting", B)}),
    (no_condition, {("open_without_external_id", B), ("open_to_any_id", B)}),
    (any_external_id, {("open_to_any_id", B)}),
    (no_grant, {("grant_denied", B)}),
    (no_revoke, {("revoke_denied", B)}),
    (no_look, {("look_denied", B)}),
    (no_look_at_vbrs, {("look_denied", FACTORY)}),
    (no_vbr_arn, {("grant_denied", FACTORY), ("revoke_denied", FACTORY)}),
    (no_region, {("region_unreachable", B), ("region_unreachable", LABORATORY)}),
    (no_ecr, {("ecr_missing", ECR), ("ecr_refused", B), ("ecr_refused", FACTORY)}),
    (ecr_of_another, {("ecr_missing", ECR), ("ecr_refused", B), ("ecr_refused", FACTORY)}),
    (no_queue, {("queue_missing", "ecr-answers-dead")}),
    (no_topic, {("topic_missing", "ecr-results")}),
    (no_subscription, {("subscription_missing", "attach-what-is-granted")}),
    (another_tag, {("subscription_wrong", "attach-what-is-granted")}),
    (another_form, {("subscription_wrong", "detach-what-is-revoked")}),
    (another_queue, {("subscription_wrong", "revoke-what-is-detached")}),
]


def found(told):
    return {(one["id"], one["about"]) for one in told.json["findings"]}


def examined(system, run, monkeypatch, *arguments):
    in_environment(system, monkeypatch)
    return run("doctor", "--json", *arguments)


@pytest.mark.parametrize("revoke_twice", ["success", "not_found", "error"])
@pytest.mark.parametrize("dry_run_answer", ["error", "success"])
def test_a_healthy_world_gives_no_finding_and_nothing_is_changed(
    tmp_path,
    run,
    monkeypatch,
    dry_run_answer,
    revoke_twice,
):
    switches = {"dry_run_answer": dry_run_answer, "revoke_twice": revoke_twice}
    with WireSystem(tmp_path, **switches, errors_in_http_200=True) as system:
        system.post("grant_vpc")
        system.settle()
        before = (system.cloud.ecr.grants(), system.cloud.ecr.associations())
        told = examined(system, run, monkeypatch)
        assert (told.code, told.json["findings"]) == (0, [])
        assert told.json["accounts"] == 3
        assert (system.cloud.ecr.grants(), system.cloud.ecr.associations()) == before


@pytest.mark.parametrize(
    ("broken", "expected"), BROKEN, ids=lambda one: getattr(one, "__name__", "")
)
def test_what_is_broken_is_found_and_nothing_else(
    tmp_path,
    run,
    monkeypatch,
    broken,
    expected,
):
    world = demo_world()
    broken(world)
    with WireSystem(tmp_path, world) as system:
        told = examined(system, run, monkeypatch)
    assert found(told) == expected
    levels = {one["level"] for one in told.json["findings"]}
    assert told.code == (1 if levels & {"problem", "unknown"} else 0)
    assert all(one["why"] and one["mend"] for one in told.json["findings"])


def test_one_account_alone_is_asked_where_it_is_named(tmp_path, run, monkeypatch):
    world = demo_world()
    no_role(world)
    with WireSystem(tmp_path, world) as system:
        assert examined(system, run, monkeypatch, "--account", FACTORY).code == 0
        assert found(examined(system, run, monkeypatch, "--account", B)) == {("role_missing", B)}
        assert run("doctor", "--account", "9000900090009000").code == 7
        assert run("doctor", "--account", "none").code == 2
        assert run("doctor", "--account", B, "--all").code == 2


ACCOUNTS = (ROOT / "registry.yaml").read_text().partition("\n# Who may post to intake")[0] + "\n"
"""The registry without its senders and readers: it ends with its accounts."""


def test_an_account_that_is_not_deployed_is_named(tmp_path, run, monkeypatch):
    more = tmp_path / "more.yaml"
    more.write_text(
        ACCOUNTS + "  '5000600070008000':\n    name: new\n"
        "    role_arn: acs:ram::5000600070008000:role/ecr-authorization\n"
    )
    with WireSystem(tmp_path) as system:
        in_environment(system, monkeypatch)
        monkeypatch.setenv("REGISTRY_FILE", str(more))
        assert found(run("doctor", "--json")) == {("not_deployed", "5000600070008000")}


def registry(**changes):
    text = (ROOT / "registry.yaml").read_text()
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new, 1)
    return text


VBR_OF_B = (
    "regions: [cn-hangzhou, ap-southeast-1]\n",
    "regions: [cn-hangzhou]\n        instances: [vbr-bp1payments0line]\n",
)


def test_vbrs_are_as_the_registry_says(tmp_path, run, monkeypatch):
    world = demo_world()
    with WireSystem(tmp_path, world) as system:
        system.post("grant_vbr")
        system.settle()
        assert found(examined(system, run, monkeypatch)) == set()
        world.account(FACTORY).cross_account_vbr = False
        assert found(examined(system, run, monkeypatch)) == {("vbr_not_enabled", FACTORY)}


def test_vbrs_that_are_enabled_and_not_registered_are_named(tmp_path, run, monkeypatch):
    world = demo_world()
    world.account(B).vbrs.append(Vbr(id="vbr-bp1payments0line", region="cn-hangzhou"))
    text = registry(vbr=VBR_OF_B)
    with WireSystem(tmp_path, world, text) as system:
        assert found(examined(system, run, monkeypatch)) == set()
        world.account(B).cross_account_vbr = True
        told = examined(system, run, monkeypatch)
        assert found(told) == {("vbr_not_registered", B)}
        assert told.code == 0


def roles_asked(system, run, monkeypatch, uid):
    before = system.calls("sts").count("AssumeRole")
    assert found(examined(system, run, monkeypatch, "--account", uid)) == set()
    return system.calls("sts").count("AssumeRole") - before


def test_so_many_roles_are_asked_for_whatever_the_regions_and_kinds(tmp_path, run, monkeypatch):
    """STS's quota is what a round over many accounts waits for."""
    with WireSystem(tmp_path) as system:
        assert roles_asked(system, run, monkeypatch, B) == 5  # two regions
        assert roles_asked(system, run, monkeypatch, FACTORY) == 5  # VPCs and VBRs
        system.post("grant_vbr")
        system.settle()
        assert roles_asked(system, run, monkeypatch, FACTORY) == 6  # a real VBR is by itself


def test_made_up_instances_of_the_longest_names_fit_into_one_session():
    of = AuthorizationId(
        ecr_id=ECR, ecr_owner_uid=ACCOUNT_A, instance_id=_NOWHERE["VPC"], instance_type="VPC",
        instance_region_id="ap-southeast-northern-12", instance_owner_uid=B,
    )  # fmt: skip
    vbr = of.model_copy(update={"instance_type": "VBR", "instance_id": _NOWHERE["VBR"]})
    for purpose in ("look", "grant", "revoke"):
        policy = json.loads(joint_policy([vbr, *[of] * (_IN_ONE_SESSION - 1)], purpose))
        alone = [json.loads(session_policy(one, purpose))["Statement"][0] for one in (vbr, of)]
        assert policy["Statement"] == [alone[0], *[alone[1]] * (_IN_ONE_SESSION - 1)]


def test_a_clock_that_is_wrong_is_named(tmp_path, run, monkeypatch):
    with WireSystem(tmp_path) as system:
        for ahead, expected in ((50, set()), (200, {"clock_skewed"}), (-200, {"clock_skewed"})):
            system.cloud.signing_time = lambda ahead=ahead: time.time() + ahead
            told = examined(system, run, monkeypatch)
            assert {one["id"] for one in told.json["findings"]} == expected
        assert re.search(r"(199|20[0-2]) s ahead", told.json["findings"][0]["what"])


def test_an_ecr_that_is_not_ours_is_named(tmp_path, run, monkeypatch):
    with WireSystem(tmp_path) as system:
        in_environment(system, monkeypatch)
        text = registry(owner=(f"owner_uid: '{ACCOUNT_A}'", "owner_uid: '1111222233334444'"))
        (tmp_path / "other.yaml").write_text(text)
        monkeypatch.setenv("REGISTRY_FILE", str(tmp_path / "other.yaml"))
        assert found(run("doctor", "--json")) == {("ecr_not_ours", ECR)}


FAULTS = [
    (Fault(product="sts", action="AssumeRole", kind="throttle", times=-1), "account_not_asked"),
    (Fault(product="sts", action="GetCallerIdentity", kind="cut", times=-1), "clock_not_asked"),
    (Fault(product="vpc", kind="error", times=-1), "region_not_asked"),
    (Fault(product="vpc", kind="error", times=-1), "permission_not_asked"),
    (Fault(action="DescribeExpressConnectRouter", kind="cut", times=-1), "ecr_not_asked"),
    (
        Fault(action="DescribeExpressConnectRouterAssociation", kind="cut", times=-1),
        "vpcs_not_counted",
    ),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS)
def test_what_gives_no_answer_is_unknown_and_never_fine(
    tmp_path,
    run,
    monkeypatch,
    fault,
    expected,
):
    world = demo_world()
    with WireSystem(tmp_path, world, quota_of(world, 150)) as system:
        system.cloud.behaviour.order(fault)
        told = examined(system, run, monkeypatch)
    assert told.code == 1
    assert expected in {one["id"] for one in told.json["findings"]}
    assert {one["level"] for one in told.json["findings"]} == {"unknown"}


def test_a_wrong_external_id_that_cannot_be_asked_is_unknown(tmp_path, run, monkeypatch):
    with WireSystem(tmp_path) as system:
        in_environment(system, monkeypatch)
        real = system.cloud.identity.role

        def gone_later(arn):
            return None if B in arn and "AssumeRole" in system.calls("sts") else real(arn)

        system.cloud.identity.role = gone_later
        told = run("doctor", "--json", "--account", B)
    assert ("trust_not_asked", B) in found(told)


def test_a_function_that_does_not_answer_is_a_problem(tmp_path, run, monkeypatch):
    with WireSystem(tmp_path) as system:
        told = examined(system, run, monkeypatch, "--function", "ecr-nobody")
    assert found(told) == {("function_not_answering", "ecr-nobody")}


def quota_of(world, vpcs):
    """The ECR takes so many VPCs, and the registry says so."""
    world.ecr(ECR)[1].vpc_quota = vpcs
    return registry(quota=("by_hand: wait", f"vpc_quota: {vpcs}\n    by_hand: wait"))


def stand_on_the_ecr(system, count):
    for number in range(count):
        subject = Subject(ECR, ACCOUNT_A, f"vpc-own{number}", "VPC", "cn-hangzhou")
        system.cloud.ecr.associate(subject, ACCOUNT_A)


def test_an_ecr_that_is_at_work_is_no_finding(tmp_path, run, monkeypatch):
    with WireSystem(tmp_path) as system:
        stand_on_the_ecr(system, 1)  # for a while it refuses all else with Conflict.Lock
        told = examined(system, run, monkeypatch)
        assert "Conflict.Lock" in {one.code for one in system.cloud.journal}
    assert (found(told), told.code) == (set(), 0)


@pytest.mark.parametrize(
    ("standing", "expected", "code"),
    [
        (119, set(), 0),
        (120, {("vpc_quota_near", ECR)}, 0),
        (149, {("vpc_quota_near", ECR)}, 0),
        (150, {("vpc_quota_used_up", ECR)}, 1),
    ],
)
def test_an_ecr_near_its_quota_of_vpcs_is_named(
    tmp_path, run, monkeypatch, standing, expected, code
):
    world = demo_world()
    with WireSystem(tmp_path, world, quota_of(world, 150)) as system:
        stand_on_the_ecr(system, standing)
        told = examined(system, run, monkeypatch)
        assert (found(told), told.code) == (expected, code)
        (unseen,) = [one["what"] for one in told.json["not_checked"] if "of VPCs" in one["what"]]
        assert "ecr-sg3edge8wv5n2" in unseen  # registry.yaml does not say its quota
        if expected:
            (one,) = told.json["findings"]
            assert f"{standing} VPCs" in one["what"]
            assert "quotas.console.aliyun.com" in one["mend"]


def test_what_is_said_of_a_used_up_quota_is_what_the_cloud_then_does(tmp_path):
    world = demo_world()
    with WireSystem(tmp_path, world, quota_of(world, 3)) as system:
        stand_on_the_ecr(system, 3)
        system.clock.advance(60)
        system.post("grant_vpc")
        system.settle()
        assert "attached" not in system.outcomes("CHG-1001")
        assert system.problem("CHG-1001")["code"] == "quota_exceeded"


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ({"VPC": 60}, set()),
        ({"VPC": 110}, {("writes_near_quota", B)}),
        ({"VPC": 55, "VBR": 55}, {("writes_near_quota", B)}),  # both are one API
    ],
)
def test_writes_that_use_up_the_coming_minute_are_named(
    tmp_path, run, monkeypatch, turns, expected
):
    with WireSystem(tmp_path) as system:
        in_environment(system, monkeypatch)
        book = SqlLedger(environment(system)["LEDGER_URL"])
        now = datetime.now(timezone.utc)
        for kind, count in turns.items():
            of = AuthorizationId(
                ecr_id=ECR, ecr_owner_uid=ACCOUNT_A, instance_id=f"{kind.lower()}-bp1many",
                instance_type=kind, instance_region_id="cn-hangzhou", instance_owner_uid=B,
            )  # fmt: skip
            for _ in range(count):
                Turns(book).reserve(Authorization(id=of), Step.GRANT, now)
        book.close()
        told = run("doctor", "--json")
    assert (found(told), told.code) == (expected, 0)
    if expected:
        assert "GrantInstanceToExpressConnectRouter" in told.json["findings"][0]["what"]


def test_dead_letters_are_a_warning(tmp_path, run, monkeypatch):
    with WireSystem(tmp_path) as system:
        system.post_raw(b"no json")
        system.settle()
        told = examined(system, run, monkeypatch)
    assert (told.code, found(told)) == (0, {("dead_letters", "ecr-requests-dead")})


def test_a_timer_that_is_silent_is_a_problem(tmp_path, run, monkeypatch):
    with WireSystem(tmp_path, start=time.time() - 3600) as system:
        system.clean()
        assert found(examined(system, run, monkeypatch)) == {("timer_silent", "ecr-cleanup")}
    (tmp_path / "later").mkdir()
    with WireSystem(tmp_path / "later") as system:
        system.clean()
        assert found(examined(system, run, monkeypatch)) == set()


def test_what_the_key_may_not_read_is_said_to_be_unchecked(tmp_path, run, monkeypatch):
    world = demo_world()
    (operator,) = [one for one in world.account(ACCOUNT_A).users if one.name == "ecr-operator"]
    for statement in operator.policies[0]["Statement"]:
        statement["Action"] = [one for one in statement["Action"] if ":Get" not in one] or ["x:y"]
    with WireSystem(tmp_path, world) as system:
        told = examined(system, run, monkeypatch)
    denied = [one["what"] for one in told.json["not_checked"] if "may not call" in one["why"]]
    assert len(denied) == len(QUEUES) + len(DEAD) + len(SUBSCRIPTIONS)


def test_no_secret_is_in_what_is_found_told_or_logged(tmp_path, run, monkeypatch):
    world = demo_world()
    no_condition(world)
    no_grant(world)
    with WireSystem(tmp_path, world) as system:
        told = examined(system, run, monkeypatch)
        plain = run("doctor")
        keys = [one.secret for one in system.cloud.identity.sessions()]
    current = ExternalIdKeys(SecretStr(ENVIRON["EXTERNAL_ID_KEY"]))
    secrets = [current.of(uid)[0].get_secret_value() for uid in (B, FACTORY, LABORATORY, "0" * 16)]
    secrets += [ENVIRON["EXTERNAL_ID_KEY"], environment(system)["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]]
    text = told.out + told.err + plain.out + plain.err
    assert "open_to_any_id" in text
    for secret in secrets + keys:
        assert secret not in text


def daily(**changes):
    return registry(**changes) + "doctor: {every_hours: 24}\n"


def test_the_timer_has_the_accounts_examined_once_in_an_interval(tmp_path):
    world = demo_world()
    no_role(world)
    any_external_id_of(world, FACTORY)
    with WireSystem(tmp_path, world, daily()) as system:
        for _ in range(3):
            system.clean()
            system.settle()
        (told,) = [one for one in system.results if one["outcome"] == "examined"]
        assert told["accounts"] == 3
        assert told["counts"] == {"role_missing": 1, "open_to_any_id": 1}
        assert {(one["id"], one["about"]) for one in told["findings"]} == {
            ("role_missing", B),
            ("open_to_any_id", FACTORY),
        }
        assert all(one["why"] and one["mend"] for one in told["findings"])
        system.clock.advance(24 * 3600)
        system.clean()
        system.settle()
        assert [one["outcome"] for one in system.results].count("examined") == 2
        assert system.raw_dead_letters() == 0


def any_external_id_of(world, uid):
    one = role(world, uid).trust["Statement"][0]
    one["Condition"] = {"StringLike": {"sts:ExternalId": ["ecr-*"]}}


def test_without_an_interval_the_timer_has_nobody_examined(tmp_path):
    with WireSystem(tmp_path) as system:
        system.clean()
        system.settle()
        assert [one for one in system.results if one["outcome"] == "examined"] == []


def test_a_round_over_many_slices_tells_once_though_messages_come_twice(tmp_path):
    text = ACCOUNTS
    for number in range(9):
        uid = str(5 * 10**15 + number)
        arn = f"acs:ram::{uid}:role/ecr-authorization"
        text += f"  '{uid}':\n    name: a{number}\n    role_arn: {arn}\n"
    with WireSystem(tmp_path, registry=text + "doctor: {every_hours: 1}\n") as system:
        system.cloud.behaviour.delivery.duplicate = 0.5
        system.clean()
        system.settle()
        told = [one for one in system.results if one["outcome"] == "examined"]
        assert told
        assert all(one == told[0] for one in told)
        assert told[0]["accounts"] == 12
        assert told[0]["counts"] == {"role_not_trusting": 9}


def test_a_round_that_lost_its_message_is_picked_up(tmp_path):
    with WireSystem(tmp_path, registry=daily()) as system:
        lost = Fault(product="mns", action="SendMessage", kind="error", times=1)
        system.cloud.behaviour.order(lost)
        with pytest.raises(CloudFailure):
            system.clean()
        system.settle()
        system.clock.advance(1200)
        system.clean()
        system.settle()
        assert [one["outcome"] for one in system.results].count("examined") == 1


@pytest.mark.parametrize(
    "body",
    [
        {"doctor": {"round": "doctor-1", "after": ""}},
        {"doctor": "all"},
        {"doctor": {"round": "x", "after": ""}, "wake": 1},
    ],
)
def test_who_may_only_send_cannot_have_anybody_examined(tmp_path, body):
    with WireSystem(tmp_path, registry=daily()) as system:
        system.post_raw(json.dumps(body).encode())
        system.settle()
        assert "AssumeRole" not in system.calls("sts")
        assert [one["outcome"] for one in system.results] == []


@pytest.mark.parametrize(
    "event",
    [
        {"check": "doctor"},
        {"check": "doctor", "accounts": "all"},
        {"check": "doctor", "accounts": [1]},
        {"check": "doctor", "accounts": ["2000300040005000"] * 5},
        {"check": "doctor", "accounts": ["../etc"]},
    ],
)
def test_the_function_refuses_what_is_no_slice_of_accounts(tmp_path, event):
    with WireSystem(tmp_path) as system, pytest.raises(BadEvent):
        system.invoke("ecr-authorize", json.dumps(event).encode())


def test_the_wiring_that_is_looked_for_is_the_templates():
    account = demo_world().account(ACCOUNT_A)
    assert {one.name for one in account.queues} == {*QUEUES, *DEAD}
    (made,) = account.topics
    assert made.name == TOPIC
    place = f"acs:mns:cn-hangzhou:{ACCOUNT_A}:queues/"
    assert {
        one.name: (
            one.endpoint.removeprefix(place),
            one.filter_tag or "",
            one.notify_content_format,
        )
        for one in made.subscriptions
    } == {name: (queue, tag, FORM) for name, (queue, tag) in SUBSCRIPTIONS.items()}


def test_every_finding_there_is_has_its_test():
    tested = {name for _, expected in BROKEN for name, _ in expected}
    tested |= {expected for _, expected in FAULTS}
    tested |= {
        "trust_not_asked", "not_deployed", "vbr_not_enabled", "vbr_not_registered",
        "clock_skewed", "ecr_not_ours", "function_not_answering", "dead_letters", "timer_silent",
        "vpc_quota_near", "vpc_quota_used_up", "writes_near_quota",
    }  # fmt: skip
    assert tested == set(EXPLAINED)
