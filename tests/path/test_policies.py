"""The shipped ROS templates: enough with all of their entries, and too little without any one.

The demo's world is made of infra/account-a.yaml and infra/account-b.yaml. From each statement one
action, or one ARN, is taken away; the check that then fails says what the entry is for.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from pydantic import SecretStr

from shared.cloud.credentials import Credentials
from shared.cloud.errors import CloudFailure
from shared.cloud.messages import Messages
from simulation.wire.system import ACCOUNT_A, ROOT, WireSystem, demo_world
from tests.path.intake_client import GRANT, Door

# What each entry is for: without it, this check of the story fails.
NEEDED = {
    "ecr-authorize sts:AssumeRole in 2000300040005000": "vpc",
    "ecr-authorize sts:AssumeRole in 3000400050006000": "vbr",
    "ecr-authorize sts:AssumeRole in 4000500060007000": "laboratory",
    "ecr-authorize mns:SendMessage ecr-requests": "granted in the end",
    "ecr-authorize mns:SendMessage ecr-requests-dead": "dead letter of requests",
    "ecr-authorize mns:PublishMessage ecr-results": "vpc",
    "ecr-authorize DescribeExpressConnectRouterAssociation ECRs": "vpc by hand refused",
    "ecr-authorize DescribeExpressConnectRouterChildInstance ECRs": "vbr by hand refused",
    "ecr-attach mns:SendMessage ecr-attachments": "vpc",
    "ecr-attach mns:SendMessage ecr-requests": "bundle",
    "ecr-attach mns:SendMessage ecr-attachments-dead": "dead letter of attachments",
    "ecr-attach mns:PublishMessage ecr-results": "vpc revoked",
    "ecr-attach CreateExpressConnectRouterAssociation ECRs": "vpc",
    "ecr-attach DeleteExpressConnectRouterAssociation ECRs": "vpc revoked",
    "ecr-attach DescribeExpressConnectRouterAssociation ECRs": "vpc",
    "ecr-attach AttachExpressConnectRouterChildInstance ECRs": "vbr",
    "ecr-attach DetachExpressConnectRouterChildInstance ECRs": "vbr revoked",
    "ecr-attach DescribeExpressConnectRouterChildInstance ECRs": "vbr",
    "ecr-cleanup mns:SendMessage ecr-requests": "what was over is gone",
    "ecr-cleanup mns:SendMessage ecr-attachments": "what was missing is back",
    "ecr-cleanup mns:PublishMessage ecr-results": "the clean-up has told",
    "ecr-cleanup DescribeExpressConnectRouter ECRs": "the listings were read",
    "ecr-cleanup DescribeInstanceGrantedToExpressConnectRouter ECRs": "the listings were read",
    "ecr-cleanup DescribeExpressConnectRouterAssociation ECRs": "the listings were read",
    "ecr-cleanup DescribeExpressConnectRouterChildInstance ECRs": "the listings were read",
    "ecr-authorization GrantInstanceToExpressConnectRouter": "vpc",
    "ecr-authorization RevokeInstanceFromExpressConnectRouter": "vpc revoked",
    "ecr-authorization any action vpc": "vpc",
    "ecr-authorization any action virtualborderrouter": "vbr",
    "ecr-authorization vpc:DescribeVpcGrantRulesToEcr vpc": "vpc revoked",
    "ecr-authorization vpc:DescribeGrantRulesToEcr virtualborderrouter": "vbr revoked",
    "ecr-intake mns:SendMessage ecr-requests": "intake asks",
    "ecr-notify mns:SendMessage ecr-answers-dead": "notify buries",
    "ecr-notify-invocation fc:InvokeFunction ecr-notify": "notify is started",
    "ecr-ticketing mns:SendMessage ecr-requests": "vpc",
    "ecr-ticketing mns:ReceiveMessage ticketing-results": "ticketing reads",
    "ecr-ticketing mns:DeleteMessage ticketing-results": "ticketing deletes",
}


def entries(world):
    """Every entry that can be taken away, by its name: whose policies, and the action or ARN."""
    found = {}
    for account in world.accounts:
        # The operator's policy is tried by its commands: tests/path/test_ecrauth.py.
        users = [one for one in account.users if one.name != "ecr-operator"]
        for holder in [*account.roles, *users]:
            for policy in holder.policies:
                for statement in policy["Statement"]:
                    for key in ("Action", "Resource"):
                        others = statement["Resource" if key == "Action" else "Action"]
                        if len(statement[key]) == 1 < len(others):
                            continue  # the one ARN of many actions goes with each of them
                        if key == "Resource" and len(statement[key]) == 1:
                            continue  # one action, one ARN: it is the statement that goes
                        for one in statement[key]:
                            name = _name(holder, statement, one)
                            found.setdefault(name, []).append((statement[key], one))
    return found


def _name(holder, statement, entry):
    """`ecr-attach mns:SendMessage ecr-requests`; an account B's is the same in all of them."""
    if entry.startswith("acs:ram:"):
        return f"{holder.name} sts:AssumeRole in {entry.split(':')[3]}"
    is_arn = entry.startswith("acs:")
    action = "any action" if is_arn else entry.removeprefix("expressconnectrouter:")
    if not is_arn and len(statement["Resource"]) > 1:
        return f"{holder.name} {action}"
    arn = entry if is_arn else statement["Resource"][0]
    what = arn.split(":")[-1].removesuffix("/messages").removesuffix("/*").rpartition("/")[2]
    return f"{holder.name} {action} {what}".replace(" expressconnectrouter", " ECRs")


def taken_away(name):
    """The demo's world without one entry."""
    world = demo_world()
    for listed, entry in entries(world)[name]:
        listed.remove(entry)
    return world


def messages(system, credentials):
    return Messages(system.local.url, lambda: credentials)


TICKETING = Credentials("LTAI-demo-ticketing", SecretStr("demo-ticketing-secret"), SecretStr(""))


def whole_story(system):
    """Every kind of work that the roles are for; what of it came out as it must."""
    ticketing = messages(system, TICKETING)
    _clean(system)  # the first run only looks
    with suppress(CloudFailure):
        ticketing.send("ecr-requests", (ROOT / "events/requests/grant_vpc.json").read_text())
    system.post("grant_vbr")
    month = (system.now() + timedelta(days=30)).isoformat()
    system.post("grant_vpc", **LABORATORY, expires_at=month)
    system.post("malformed")
    # A dead letter of attach: a message that is no result.
    system.cloud.mns.send(ACCOUNT_A, "ecr-attachments", b"no result!")
    system.settle(60)
    # Its grant has to wait for the ECR, for longer than EventBridge repeats a batch.
    system.post("grant_attached_by_hand")
    system.settle()
    system.post("revoke_vpc")
    system.post("grant_vbr", action="revoke", lease="CHG-1003", request_id="R-3")
    system.settle()
    system.post("grant_vbr", request_id="CHG-30", attach=False)
    system.settle()
    for grant in system.cloud.ecr.grants():  # account A's people attach what was granted
        if grant.instance_owner_uid != LABORATORY["instance_owner_uid"]:
            system.cloud.ecr.associate(grant.subject, grant.instance_owner_uid)
    system.settle(200)
    system.post(
        "grant_attached_by_hand", action="revoke", attach=True, lease="all", request_id="R-7"
    )
    system.post("grant_vbr", action="revoke", lease="all", request_id="R-30")
    system.settle()
    soon = (system.now() + timedelta(days=1)).isoformat()
    system.post("grant_vpc", request_id="CHG-40", expires_at=soon)
    system.post("grant_bundle")
    system.post("grant_vpc_other_region")
    system.settle()
    for one in system.cloud.ecr.associations():  # and detach by hand what is ours
        if one.subject.instance_id == "vpc-t4npayments0asia":
            system.cloud.ecr.dissociate(one)
    system.clock.advance(2 * 86400)
    _clean(system)
    system.settle()
    return {**what_came_out(system), **by_ticketing(system, ticketing)}


def what_came_out(system):
    """The checks of what the functions did, each by its name."""
    attached = {one.subject.instance_id for one in system.cloud.ecr.associations()}
    standing = {one.subject.instance_id for one in system.cloud.ecr.grants()}
    revoked = ["revoking", "detached", "revoked"]
    return {
        "vpc": system.outcomes("CHG-1001") == ["granted", "attached"],
        "vbr": system.outcomes("CHG-1003") == ["granted", "attached"],
        "laboratory": system.outcomes("CHG-50") == ["granted", "attached"],
        "granted in the end": system.outcomes("CHG-1007") == ["granted"],
        "bundle": system.outcomes("CHG-1010") == ["completed"],
        "vpc revoked": system.outcomes("CHG-1008") == revoked,
        "vbr revoked": system.outcomes("R-3") == revoked,
        "vpc by hand refused": _still_attached(system, "R-7"),
        "vbr by hand refused": _still_attached(system, "R-30"),
        "dead letter of requests": len(system.dead_letters()) == 1,
        "dead letter of attachments": len(system.dead_letters("ecr-attachments-dead")) == 1,
        "what was over is gone": "vpc-bp1payments0main" not in standing,
        "what was missing is back": "vpc-t4npayments0asia" in attached,
        "the clean-up has told": any(one["outcome"] == "swept" for one in system.results),
        "the listings were read": not any(
            "listing_failed" in one.get("counts", {}) for one in system.results
        ),
    }


def story_of_a_webhook(system):
    """What intake and notify are for: a ticket is posted, and its answers can reach nobody."""
    door = Door(system)
    # Nobody has given notify a secret to sign this sender's answers with.
    callback = {"url": "https://payments.example.com/CHG-1001", "system": "plain"}
    taken = door.post({**GRANT, "callback": callback}, sender="payments-desk")
    queued = door.queued()
    system.settle_told()
    buried = system.cloud.mns.queue(ACCOUNT_A, "ecr-answers-dead").peek(100)
    # Function Compute puts there what has failed for good, in another form.
    letters = [json.loads(one.body) for one in buried]
    reasons = [one["reason"] for one in letters if "reason" in one]
    return {
        "intake asks": (taken.status_code, queued) == (202, ["CHG-1001"]),
        "notify is started": any(one.function == "ecr-notify" for one in system.cloud.fc.journal),
        "notify buries": len(reasons) == len(system.outcomes("CHG-1001")) > 0
        and all("no secret of sender payments-desk" in reason for reason in reasons),
    }


def by_ticketing(system, ticketing):
    """The ticketing system takes its results, and takes them off the queue."""
    before = len(system.results)
    taken = []
    read = _done(lambda: taken.extend(ticketing.receive("ticketing-results", most=1)))
    if not taken:  # nobody could look: whether they may be deleted is asked with another's receipt
        found = system.cloud.mns.receive(ACCOUNT_A, "ticketing-results", 1)
        receipt = found[0].receipt
    else:
        receipt = taken[0].receipt
    gone = _done(lambda: ticketing.delete("ticketing-results", receipt))
    return {"ticketing reads": read and before > 0, "ticketing deletes": gone}


def _done(call):
    try:
        call()
    except CloudFailure:
        return False
    return True


def _clean(system):
    with suppress(CloudFailure):  # what it could not do shows in what has come of it
        system.clean()


def _still_attached(system, request_id):
    told = [one for one in system.results if one["request_id"] == request_id]
    return [one.get("problem", {}).get("code") for one in told] == ["still_attached"]


LABORATORY = {
    "request_id": "CHG-50",
    "ticket": "CHG-50",
    "ecr_id": "ecr-sg3edge8wv5n2",
    "instance_id": "vpc-bp1labor0bench",
    "instance_owner_uid": "4000500060007000",
}
# An operation lasts longer than EventBridge repeats a batch: what must come again, must be sent.
SLOW = {"operation_seconds": 100.0}


def registry():
    """Revokes look at account A's view before they are taken: `by_hand: refuse`."""
    text = (ROOT / "registry.yaml").read_text().replace("by_hand: wait", "by_hand: refuse")
    return text + "\ncleanup:\n  rules: {missing: repair}\n"


class Seeded(WireSystem):
    """The delays between tries are the same each time."""

    def built(self, name):
        function = super().built(name)
        if not hasattr(function, "inbox"):
            return function
        return replace(function, inbox=replace(function.inbox, chance=Random(name).random))


def test_with_all_entries_everything_works_and_nothing_is_denied(tmp_path):
    for number, story in enumerate((whole_story, story_of_a_webhook)):
        folder = tmp_path / str(number)
        folder.mkdir()
        tells = {} if story is story_of_a_webhook else None
        with Seeded(folder, registry=registry(), tells=tells, **SLOW) as system:
            came_out = story(system)
            assert all(came_out.values()), came_out
            assert not [one for one in system.cloud.journal if one.status == 403]


def test_what_each_entry_is_for_is_written_down():
    assert set(entries(demo_world())) == set(NEEDED)


@pytest.mark.parametrize("name", NEEDED)
def test_without_any_one_entry_what_it_is_for_fails(tmp_path, name):
    by_webhook = name.startswith(("ecr-intake ", "ecr-notify"))
    story = story_of_a_webhook if by_webhook else whole_story
    # notify is deployed for the one alone: who calls it by a thread disturbs the other's order.
    tells = {} if by_webhook else None
    with Seeded(tmp_path, taken_away(name), registry(), tells=tells, **SLOW) as system:
        came_out = story(system)
        assert not came_out[NEEDED[name]], f"{name} is not needed for {NEEDED[name]!r}"
