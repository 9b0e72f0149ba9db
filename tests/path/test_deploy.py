"""docs/deploy.md walked through: its commands as they stand there, against localcloud."""

from __future__ import annotations

import io
import json
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout

import pytest
import yaml
from alibabacloud_tea_openapi.exceptions import ClientException
from pydantic import SecretStr

from ecrauth.__main__ import main
from ecrauth.settings import NAMES
from localcloud.server import LocalCloud
from localcloud.world import AccessKey, Account, Ecr, Vpc, World
from shared import onboarding
from shared.cloud.credentials import Credentials
from shared.cloud.messages import Messages
from shared.external_ids import ExternalIdKeys
from simulation.wire.system import ENVIRON, ROOT, WireSystem, demo_world
from tests.localcloud.test_ros import ros

A, B = "1000200030004000", "2000300040005000"
KEY = ENVIRON["EXTERNAL_ID_KEY"]
NEXT = "the-next-key-" * 4


def commands(text):
    """The lines of its shell blocks, also where a block stands in a list."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


PAGE = (ROOT / "docs" / "deploy.md").read_text()
LINES = commands(PAGE)
# What is played by something else here, and by what.
ELSEWHERE = {
    "export": "the environment of this test",
    "make package": "the checkout itself: localcloud runs its code",
    "s deploy": "localcloud runs the same s.yaml",
    "aliyun ram CreateAccessKey --UserName ecr-ticketing": "the key is put into the world",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    """The environment of step 1; the registry does not have the account yet."""
    text = (ROOT / "registry.yaml").read_text()
    empty = text[: text.index("accounts:")] + "accounts: {}\n"
    (tmp_path / "registry.yaml").write_text(empty)
    for name in (*NAMES, "ECRAUTH_PROFILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {
        "EXTERNAL_ID_KEY": KEY,
        "EXTERNAL_ID_KEY_NEXT": NEXT,
        "FC_ACCOUNT_ID": A,
        "FC_REGION": "cn-hangzhou",
        "REGISTRY_FILE": str(tmp_path / "registry.yaml"),
    }.items():
        monkeypatch.setenv(name, value)


def account(*arguments, profile=()):
    """What `ecrauth account …` prints."""
    code, printed, said = tried(*arguments, profile=profile)
    assert code == 0, said
    return printed


def tried(*arguments, profile=()):
    """The exit code of `ecrauth account …`, what it prints, and what it says of errors."""
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()) as said:
        code = main([*profile, "account", *arguments])
    return code, printed.getvalue(), said.getvalue()


def refusal(*arguments):
    """The exit code of `ecrauth account …`, and the one line that says what is wrong."""
    code, printed, said = tried(*arguments)
    assert (code != 0, printed, said.count("\n")) == (True, "", 1)
    assert said.startswith("ecrauth: ")
    return code, said


def empty_accounts():
    return World(
        regions=["cn-hangzhou"],
        accounts=[
            Account(uid=A, ecrs=[Ecr(id="ecr-hz7core4qk2m1")]),
            Account(uid=B, vpcs=[Vpc(id="vpc-bp1payments0main", region="cn-hangzhou")]),
        ],
    )


def deployed(local, line, variables):
    """A command of `aliyun ros`, sent as it stands: whose account it is, its stack's name says."""
    line = line.replace(f'"${onboarding.VARIABLE}"', variables.get(onboarding.VARIABLE, ""))
    template = re.search(r'--TemplateBody "\$\(cat ([a-z./-]+)\)" ', line)
    words = shlex.split(line.replace(template[0], "") if template else line)
    action, pairs = words[2], words[3:]
    query = {
        name.removeprefix("--"): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)
    }
    if template:
        query["TemplateBody"] = (ROOT / template[1]).read_text()
    uid = A if query.get("StackName") == onboarding.STACK_A else B
    return uid, ros(local, action, uid, **query)["StackId"]


def walked(local):
    """Every line of the page is done; gives what the commands printed."""
    variables, printed = {}, []
    for line in LINES:
        if line.startswith(f"{onboarding.VARIABLE}="):
            words = shlex.split(re.search(r"\$\(ecrauth account (.*)\)", line)[1])
            variables[onboarding.VARIABLE] = account(*words).strip()
        elif line.startswith("ecrauth account rotate"):
            continue  # it needs the functions: done by the next test
        elif line.startswith("ecrauth account "):
            printed.append(account(*shlex.split(line)[2:]))
        elif line.startswith("aliyun ros "):
            uid, stack_id = deployed(local, line, variables)
            shown = ros(local, "GetStack", uid, StackId=stack_id, RegionId="cn-hangzhou")
            assert shown["Status"] == "CREATE_COMPLETE"
            assert variables.get(onboarding.VARIABLE, "no such") not in json.dumps(shown)
        else:
            assert any(line.startswith(one) for one in ELSEWHERE), line
    return "".join(printed)


def test_the_page_leads_from_two_empty_accounts_to_a_granted_vpc(tmp_path):
    world = empty_accounts()
    with LocalCloud(world) as local:
        printed = walked(local)
    for line in LINES:  # what the page shows is what the command prints
        if line.startswith("aliyun ros "):
            assert line in printed
    user = next(one for one in world.accounts[0].users if one.name == "ecr-ticketing")
    user.access_keys.append(AccessKey(id="LTAI-made-by-hand", secret="its-secret"))
    key = Credentials("LTAI-made-by-hand", SecretStr("its-secret"), SecretStr(""))
    text = (tmp_path / "registry.yaml").read_text()
    entry = printed[printed.index(f"  '{B}'") : printed.index("2. In account A")]
    registry = text.replace("accounts: {}\n", "accounts:\n" + entry)
    with WireSystem(tmp_path, world, registry) as system:
        body = (ROOT / "events/requests/grant_vpc.json").read_text()
        Messages(system.local.url, lambda: key).send("ecr-requests", body)
        system.settle()
        assert system.outcomes("CHG-1001") == ["granted", "attached"]
        told = system.invoke("ecr-authorize", b'{"check": "external_ids"}')
        assert told == {
            "changing": False,
            "accounts": [{"account_uid": B, "name": "payments", "trusts": "current", "code": None}],
            "more": False,
        }


def test_the_readme_leads_by_the_same_commands_with_what_to_expect_at_each():
    section = (ROOT / "README.md").read_text().partition("\n## Deploy\n")[2].partition("\n## ")[0]
    assert commands(section) == LINES
    steps = re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]
    assert [step for step in steps if "*Expect*" not in step] == []


def test_the_external_id_is_printed_only_where_it_is_asked_for():
    secret = account("external-id", B).strip()
    assert re.fullmatch(r"ecr-[a-z2-7]{52}", secret)
    assert secret not in account("add", B)
    assert secret in account("add", B, "--show-external-id")
    assert KEY not in account("add", B, "--show-external-id")
    following = account("external-id", B, "--next").strip()
    assert following != secret
    assert following in account("add", B, "--next", "--show-external-id", "--group", "all")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "200030004000500"], "16 digits"),
        (["add", "２000300040005000"], "16 digits"),
        (["add", f"{B}; rm -rf ~"], "16 digits"),
        (["external-id", "*"], "16 digits"),
        (["add", B, "--name", "two\nlines"], "--name"),
    ],
)
def test_what_is_typed_wrongly_is_refused(arguments, says):
    code, said = refusal(*arguments)
    assert code == 2
    assert says in said


@pytest.mark.parametrize("name", ["EXTERNAL_ID_KEY", "FC_ACCOUNT_ID", "FC_REGION"])
def test_what_is_not_set_is_said(monkeypatch, name):
    monkeypatch.delenv(name)
    code, said = refusal("add", B)
    assert code == 1
    assert f"{name} is not set: set it in the environment or in a profile" in said


def test_a_registry_that_is_not_there_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("REGISTRY_FILE", str(tmp_path / "none.yaml"))
    code, said = refusal("add", B)
    assert code == 1
    assert "none.yaml" in said


def test_a_profile_holds_and_the_printed_command_names_it(monkeypatch, tmp_path):
    of_the_environment = account("external-id", B)
    for name in ("EXTERNAL_ID_KEY", "FC_ACCOUNT_ID", "FC_REGION", "REGISTRY_FILE"):
        monkeypatch.delenv(name)
    written = tmp_path / "the other's.yaml"
    values = {"EXTERNAL_ID_KEY": "another-key-" * 4, "FC_ACCOUNT_ID": A, "FC_REGION": "cn-beijing"}
    values["REGISTRY_FILE"] = str(tmp_path / "registry.yaml")
    written.write_text(yaml.safe_dump(values))
    written.chmod(0o600)
    profile = ("--profile", str(written))
    secret = account("external-id", B, profile=profile)
    assert secret != of_the_environment
    printed = account("add", B, profile=profile)
    assert "--RegionId cn-beijing" in printed
    line = re.search(r'="\$\(ecrauth (.*)\)"', printed)[1]
    assert shlex.split(line) == [*profile, "account", "external-id", B]
    monkeypatch.setenv("ECRAUTH_PROFILE", str(written))
    assert account("external-id", B) == secret


def test_a_name_cannot_break_out_of_a_printed_command():
    command = onboarding.stack_instance("cn-hangzhou", B, SecretStr("s"), "a' b; $(rm x)")
    assert shlex.split(command.shell())[6] == "a' b; $(rm x)"
    with pytest.raises(ValueError, match="name"):
        onboarding.registry_entry(B, "x\n  evil: 1", "ecr-hz7core4qk2m1", "cn-hangzhou")
    entry = onboarding.registry_entry(B, "x: {y: 1} #", "ecr-hz7core4qk2m1", "cn-hangzhou")
    assert yaml.safe_load(entry)[B]["name"] == "x: {y: 1} #"


def test_rotate_asks_the_function_over_the_wire(tmp_path, monkeypatch):
    with Both(tmp_path, demo_world()) as system:
        key, secret = system.cloud.identity.root_key(A)
        monkeypatch.setenv("ALIBABA_CLOUD_ENDPOINT_FC", system.local.url)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", key)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)
        trust(system, B, NEXT)
        printed = account("rotate")
        assert f"{B}  next      payments" in printed
        assert "3000400050006000  current   factory" in printed
        assert "account add 3000400050006000 --next" in printed
        assert json.loads(account("rotate", "--json"))["for"] == [
            "3000400050006000",
            "4000500060007000",
        ]
        code, said = refusal("rotate", "--function", "ecr-nobody")
        assert (code, "FunctionNotFound" in said, "s.yaml" in said) == (7, True, True)
        code, _, said = tried("rotate", "--function", "ecr-attach")  # which logs, besides
        assert code == 1
        assert re.fullmatch(r"ecrauth: ecr-attach failed: \w+: its log has request \S+\n", said)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "wrong")
        code, said = refusal("rotate")
        assert (code, "SignatureDoesNotMatch" in said) == (1, True)
        assert "wrong" not in said
        monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")
        assert "ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set" in refusal("rotate")[1]


def test_a_key_that_could_be_guessed_is_refused(monkeypatch):
    monkeypatch.setenv("EXTERNAL_ID_KEY", "k" * 31)
    code, said = refusal("external-id", B)
    assert code == 1
    assert "32 characters" in said
    assert "k" * 31 not in said


def test_a_change_that_cannot_be_leaves_the_stack_as_it_was():
    with LocalCloud(empty_accounts()) as local:
        _, stack_id = deployed(local, onboarding.stack_a("cn-hangzhou", [ROLE]).shell(), {})
        text = (ROOT / onboarding.TEMPLATE_A).read_text()
        broken = text.replace("- Fn::GetAtt: [Ticketing, UserName]", "- nobody")
        query = onboarding.stack_a("cn-hangzhou", [ROLE], stack_id).query(broken)
        with pytest.raises(ClientException, match="there is no user nobody"):
            ros(local, "UpdateStack", A, **query)
        roles = local.cloud.world.account(A).roles
        assert len(roles) == 6
        assert all(one.policies for one in roles)


def test_more_than_a_hundred_accounts_go_into_a_stack_of_their_own():
    with LocalCloud(empty_accounts()) as local:
        deployed(local, onboarding.stack_a("cn-hangzhou", [ROLE]).shell(), {})
        other = ROLE.replace(B, "3000400050006000")
        more = onboarding.Command(
            "CreateStack",
            {"RegionId": "cn-hangzhou", "StackName": "ecr-account-a-2"},
            {"RolesB": other, "Number": "2"},
        )
        text = (ROOT / "infra/account-a-more.yaml").read_text()
        ros(local, "CreateStack", A, **more.query(text))
        roles = local.cloud.world.account(A).roles
        authorize = next(one for one in roles if one.name == "ecr-authorize")
        assert [one["Statement"][0]["Resource"] for one in authorize.policies] == [[ROLE], [other]]


def test_a_second_account_changes_account_as_stack_and_takes_nothing_away(tmp_path):
    with LocalCloud(empty_accounts()) as local:
        _, stack_id = deployed(local, onboarding.stack_a("cn-hangzhou", [ROLE]).shell(), {})
        other = ROLE.replace(B, "3000400050006000")
        line = onboarding.stack_a("cn-hangzhou", [ROLE, other], stack_id).query(
            (ROOT / onboarding.TEMPLATE_A).read_text()
        )
        ros(local, "UpdateStack", A, **line)
        account_a = local.cloud.world.account(A)
        authorize = next(one for one in account_a.roles if one.name == "ecr-authorize")
        assert authorize.policies[0]["Statement"][0]["Resource"] == [ROLE, other]
        assert len(account_a.roles) == 6
        assert len(account_a.queues) == 6


ROLE = onboarding.role_arn(B)


def test_a_stack_with_a_bad_parameter_or_of_another_account_is_refused():
    with LocalCloud(empty_accounts()) as local:
        bad = onboarding.stack_a("cn-hangzhou", ["acs:ram::*:role/ecr-authorization"])
        text = (ROOT / onboarding.TEMPLATE_A).read_text()
        with pytest.raises(ClientException, match="RolesB"):
            ros(local, "CreateStack", A, **bad.query(text))
        assert local.cloud.world.account(A).roles == []
        made = ros(local, "CreateStack", A, **onboarding.stack_a("cn-hangzhou", [ROLE]).query(text))
        with pytest.raises(ClientException, match="already exists"):
            ros(local, "CreateStack", A, **onboarding.stack_a("cn-hangzhou", [ROLE]).query(text))
        with pytest.raises(ClientException, match="could not be found"):
            ros(local, "GetStack", B, StackId=made["StackId"])


class Both(WireSystem):
    def environ(self, name):
        return super().environ(name) | {"EXTERNAL_ID_KEY_NEXT": NEXT}


def trust(system, account_uid, *keys):
    role = system.cloud.world.account(account_uid).roles[0]
    ids = [ExternalIdKeys(SecretStr(key)).of(account_uid)[0].get_secret_value() for key in keys]
    role.trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] = ids


def test_a_change_of_keys_is_told_account_by_account(tmp_path):
    others = ["3000400050006000", "4000500060007000"]
    with Both(tmp_path, demo_world()) as system:

        def told():
            answer = system.invoke("ecr-authorize", b'{"check": "external_ids"}')
            assert answer["changing"] is True
            found = [onboarding.Trust(**one) for one in answer["accounts"]]
            step, which = onboarding.next_step(found, changing=True)
            return [one.trusts for one in found], step[:5], [one.account_uid for one in which]

        assert told() == (["current"] * 3, "Deplo", [B, *others])
        trust(system, B, NEXT)
        trust(system, others[0], KEY, NEXT)
        assert told() == (["next", "both", "current"], "Deplo", [others[1]])
        trust(system, others[1], "somebody-else's-key-" * 3)
        assert told() == (["next", "both", "neither"], "Mend ", [others[1]])
        system.cloud.world.account(others[1]).roles.clear()
        assert told() == (["next", "both", "unknown"], "Mend ", [others[1]])


def test_many_accounts_are_asked_slice_by_slice(tmp_path, monkeypatch):
    uids = [B, *(str(5 * 10**15 + number) for number in range(onboarding.SLICE))]
    entries = [
        onboarding.registry_entry(uid, f"account {uid}", "ecr-hz7core4qk2m1", "cn-hangzhou")
        for uid in uids
    ]
    text = (tmp_path / "registry.yaml").read_text()
    registry = text.replace("accounts: {}\n", "accounts:\n" + "".join(entries))
    with Both(tmp_path, demo_world(), registry) as system:
        key, secret = system.cloud.identity.root_key(A)
        monkeypatch.setenv("ALIBABA_CLOUD_ENDPOINT_FC", system.local.url)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", key)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)
        told = json.loads(account("rotate", "--json"))
    assert [one["account_uid"] for one in told["accounts"]] == uids
    assert told["accounts"][0]["trusts"] == "current"
    assert len(told["for"]) == len(uids) - 1


def test_when_all_accounts_trust_the_next_key_the_old_one_may_go(tmp_path):
    with Both(tmp_path, demo_world()) as system:
        for one in (B, "3000400050006000", "4000500060007000"):
            trust(system, one, NEXT)
        answer = system.invoke("ecr-authorize", b'{"check": "external_ids"}')
    found = [onboarding.Trust(**one) for one in answer["accounts"]]
    step, which = onboarding.next_step(found, changing=True)
    assert step.startswith("Every account trusts the next key")
    assert which == []
    assert onboarding.next_step(found, changing=False)[0].startswith("No change is under way")


def test_what_is_asked_for_to_find_that_out_may_do_nothing(tmp_path):
    with Both(tmp_path, demo_world()) as system:
        system.invoke("ecr-authorize", b'{"check": "external_ids"}')
        policies = [one.caller.session_policy for one in system.cloud.identity.sessions()]
    assert json.loads(onboarding.NOTHING) in policies
    assert all(one["Effect"] == "Deny" for one in json.loads(onboarding.NOTHING)["Statement"])
