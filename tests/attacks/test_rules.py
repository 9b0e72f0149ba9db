"""The rules that security rests on, where no attack of its own shows them."""

from __future__ import annotations

import inspect
import re
from contextlib import closing

from pydantic import SecretStr

from localcloud.server import LocalCloud
from shared import registry
from shared.authorization import Authorization, Lock
from shared.cloud.sessions import session_name, session_policy
from shared.contract import read_request
from shared.external_ids import external_id
from shared.ledger.sql import SqlLedger
from simulation.wire.system import ACCOUNT_A, ENVIRON, ROOT, WireSystem, demo_world, deployment
from tests.attacks.conftest import access, put, sample, writes

KEY = SecretStr(ENVIRON["EXTERNAL_ID_KEY"])
PAYMENTS = "2000300040005000"
NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


def statements(holder):
    for policy in holder.policies:
        yield from policy["Statement"]


def listed(value):
    return value if isinstance(value, list) else [value]


def test_each_function_has_a_role_of_its_own_and_no_action_has_a_star():
    roles = [props.role for props in deployment("sqlite://", tells=True).functions.values()]
    assert len(roles) == len(set(roles)) >= 3
    for account in demo_world().accounts:
        for holder in [*account.roles, *account.users]:
            for one in statements(holder):
                assert all("*" not in action for action in listed(one["Action"])), holder.name
                assert one["Resource"] != "*"


def test_only_authorize_assumes_roles_and_they_are_the_registrys():
    known = registry.load(ROOT / "registry.yaml")
    allowed = set()
    for holder in demo_world().account(ACCOUNT_A).roles:
        for one in statements(holder):
            if any(action.startswith("sts:") for action in listed(one["Action"])):
                assert holder.name == "ecr-authorize"
                allowed |= set(listed(one["Resource"]))
    assert allowed == {account.role_arn for account in known.accounts.values()}


def test_a_session_is_as_narrow_and_its_name_as_plain_as_can_be():
    of = read_request(sample("grant_vpc")).authorization
    for purpose in ("grant", "revoke", "look"):
        policy = session_policy(of, purpose)
        assert len(policy) <= 2048
        assert "*" not in policy
        assert of.instance_id in policy
    for ticket in ("CHG-1", "a@b.c", "x" * 48, "é\n{}", ""):
        assert re.fullmatch(r"[\w.@-]{2,64}", session_name("authorize", ticket), re.ASCII)


def trusted(system, values):
    """Account B's trust asks for one of these ExternalIds; none at all where there is no value."""
    account = system.cloud.world.account(PAYMENTS)
    (role,) = [one for one in account.roles if one.name == "ecr-authorization"]
    statement = role.trust["Statement"][0]
    statement["Condition"] = {"StringEquals": {"sts:ExternalId": values}}


def test_a_wrong_external_id_opens_nothing_and_two_are_valid_while_one_is_rotated(system):
    right = external_id(KEY, PAYMENTS).get_secret_value()
    other = external_id(SecretStr("k" * 40), PAYMENTS).get_secret_value()
    for number, (values, opens) in enumerate(
        [([other], False), ([right.upper()], False), ([right[:-1]], False), ([other, right], True)]
    ):
        trusted(system, values)
        put(system, sample("grant_vpc", request_id=f"X-{number}"))
        system.settle(60)
        assert ("granted" in system.outcomes(f"X-{number}")) is opens
        assert bool(access(system)[0]) is opens


def test_without_a_ledger_nothing_is_done(tmp_path):
    with WireSystem(tmp_path, ledger_url=NOWHERE) as system:
        put(system, sample("grant_vpc"))
        system.settle(600)
        assert system.calls("sts", "ecr", "vpc") == []
        assert system.results == []
        assert system.raw_dead_letters() == 1  # nothing is lost: EventBridge has put it there


def test_without_the_lock_nothing_is_done(system):
    """Somebody else holds it, by the ledger, for an hour to come."""
    system.clean()
    of = read_request(sample("grant_vpc")).authorization
    until = system.now().replace(year=system.now().year + 1)
    with closing(SqlLedger(system.ledger_url)) as ledger:
        held = Authorization(id=of, lock=Lock(holder="another", until=until))
        assert ledger.put_authorization(held, 0)
    system.cloud.journal.clear()
    put(system, sample("grant_vpc"))
    system.settle(300)
    assert system.calls("sts", "ecr", "vpc") == []
    assert access(system) == (set(), set())


def test_every_effect_is_on_the_trail_before_it_and_after_it(system):
    put(system, sample("grant_vpc"))
    system.settle()
    with closing(SqlLedger(system.ledger_url)) as ledger:
        entries = list(ledger.entries(read_request(sample("grant_vpc")).authorization.key))
    for step, account in (("grant", PAYMENTS), ("associate", ACCOUNT_A)):
        for outcome in ("asked", "done"):
            (entry,) = [one for one in entries if one.what == f"{step} {outcome}"]
            assert entry.facts["account"] == account
            assert entry.facts["leases"] == "CHG-1001"
            assert re.fullmatch("[0-9a-f]{64}", str(entry.facts["token"]))
    assert len(writes(system)) == 2


def test_the_stand_in_listens_on_this_machine_alone():
    with LocalCloud(demo_world()) as local:
        assert local.endpoint.startswith("127.0.0.1:")
    assert "host" not in inspect.signature(LocalCloud).parameters


KEYS = re.compile(
    r"LTAI[A-Za-z0-9]{12,}|-----BEGIN [A-Z ]*PRIVATE|whsec_[A-Za-z0-9+/]{24,}|ghp_\w{20,}"
)
KINDS = {".py", ".yaml", ".yml", ".json", ".md", ".toml", ".txt", ".in"}


def written():
    """What the repository has, but for what is installed or made, and the tests' samples."""
    for folder in ROOT.iterdir():
        if folder.name.startswith(".") or folder.name in ("dist", "build", "tests"):
            continue
        yield from folder.rglob("*") if folder.is_dir() else [folder]


def test_no_key_of_anybody_is_in_the_repository():
    read = [path for path in written() if path.suffix in KINDS]
    assert len(read) > 100
    found = [str(path) for path in read if KEYS.search(path.read_text("utf-8", "replace"))]
    assert found == []
    assert KEYS.search("LTAI" + "5tAbCdEfGhIjKl")
