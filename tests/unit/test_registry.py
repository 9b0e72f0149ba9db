"""registry.yaml is checked as strictly as a request."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared import registry
from shared.contract import read_request
from shared.external_ids import external_id
from shared.registry import BadRegistry, load
from shared.registry.__main__ import main as check_registry

ROOT = Path(__file__).parents[2]
KEY = SecretStr("k" * 32)
GOOD = (ROOT / "registry.yaml").read_text()


def test_the_shipped_registry_is_good():
    known = registry.load(ROOT / "registry.yaml")
    assert set(known.ecrs) == {"ecr-hz7core4qk2m1", "ecr-sg3edge8wv5n2"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ecrs: {}\necrs: {}\naccounts: {}", "given twice"),
        ("ecrs: &a {}\naccounts: *a", "aliases"),
        ("ecrs: !!python/object/apply:os.system ['true']", "tag"),
        ("[" * 2000, "YAML"),
        ("ecrs: {}", "accounts: Field required"),
        ("ecrs: {}\naccounts: {}\nextra: 1", "extra: Extra inputs"),
        (GOOD.replace("role_arn: acs:ram::2", "role_arn: acs:ram::9"), "another account"),
        (GOOD.replace("  ecr-sg3edge8wv5n2:\n", "  ecr-sg3edge8other:\n"), "not in ecrs"),
        (GOOD.replace("ecr_id: ecr-sg3edge8wv5n2", "ecr_id: ecr-hz7core4qk2m1"), "twice"),
        (GOOD.replace("cn-hangzhou, ap", "'*', ap"), "regions.0"),
        (GOOD.replace("'2000300040005000':", "2000300040005000:"), "valid string"),
        (GOOD.replace("by_hand: wait", "by_hand: maybe"), "by_hand"),
        (GOOD.replace(" proof: ", " prof: "), "proof"),
    ],
)
def test_a_registry_with_a_mistake_is_refused_with_its_reason(tmp_path, text, reason):
    file = tmp_path / "registry.yaml"
    file.write_text(text)
    with pytest.raises(BadRegistry, match="registry.yaml") as bad:
        registry.load(file)
    assert reason in str(bad.value)


def test_a_registry_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadRegistry, match="cannot be read"):
        registry.load(tmp_path / "registry.yaml")


def test_a_registry_of_any_size_is_not_read(tmp_path):
    file = tmp_path / "registry.yaml"
    file.write_bytes(b"#" * (registry.MAX_BYTES + 1))
    with pytest.raises(BadRegistry, match="larger"):
        registry.load(file)


def test_an_external_id_is_one_for_each_account_and_hides_itself():
    one = external_id(KEY, "2000300040005000")
    assert one == external_id(KEY, "2000300040005000")
    assert one != external_id(KEY, "3000400050006000")
    assert one != external_id(SecretStr("l" * 32), "2000300040005000")
    assert one.get_secret_value() not in f"{one!r} {one}"


def test_an_external_id_needs_a_key_worth_its_name():
    with pytest.raises(ValueError, match="32"):
        external_id(SecretStr("short"), "2000300040005000")


CLEANUP = """
cleanup:
  observe: true
  brake: {most: 10, percent: 5, always: 1}
  rules: {unmanaged: revoke, not_attached_days: null, warn_days: [30]}
  freezes:
    - {since: 2026-12-20T00:00:00Z, until: 2027-01-04T00:00:00Z, reason: Year end}
  exemptions:
    - {account: '2000300040005000', until: 2027-03-01T00:00:00Z, reason: Migration}
"""


def test_the_clean_ups_rules_are_the_accounts_before_the_ecrs_before_all(tmp_path):
    text = (ROOT / "registry.yaml").read_text()
    ecr = "    cleanup: {unmanaged: adopt, stuck_hours: 5}\n    by_hand: wait"
    text = text.replace("    by_hand: wait", ecr)
    text = text.replace(
        "    name: payments\n", "    name: payments\n    cleanup: {stuck_hours: 7}\n"
    )
    file = tmp_path / "registry.yaml"
    file.write_text(text + CLEANUP)
    found = load(file)
    of = read_request(json.loads((ROOT / "events/requests/grant_vpc.json").read_text()))
    rules = found.rules(of.authorization)
    assert (rules.unmanaged, rules.stuck_hours, rules.warn_days) == ("adopt", 7, (30,))
    assert rules.not_attached_days is None
    now = datetime(2026, 12, 25, tzinfo=timezone.utc)
    assert found.frozen(now).reason == "Year end"
    assert found.frozen(now + timedelta(days=30)) is None
    assert found.exemption(of.authorization, "CHG-1", now).reason == "Migration"
    assert found.exemption(of.authorization, "CHG-1", now + timedelta(days=99)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("unmanaged: revoke", "unmanaged: delete"),
        ("most: 10", "most: -1"),
        ("observe: true", "observe: perhaps"),
        ("2026-12-20T00:00:00Z", "2026-12-20T00:00:00"),  # no offset: whose midnight?
        ("account: '2000300040005000', ", ""),  # an exemption for everything
        ("warn_days: [30]", "warn_days: [0]"),
    ],
)
def test_a_rule_of_the_clean_up_that_cannot_be_is_refused(tmp_path, old, new):
    assert old in CLEANUP
    file = tmp_path / "registry.yaml"
    file.write_text((ROOT / "registry.yaml").read_text() + CLEANUP.replace(old, new))
    with pytest.raises(BadRegistry, match="cleanup"):
        load(file)


def line_of(text, part):
    return text[: text.index(part)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name: payments", "name: payments\n    nmae: x", "Extra inputs"),
        ("'3000400050006000':", "'2000300040005000':", "given twice"),
        ("  ecr-sg3edge8wv5n2:\n", "  ecr-hz7core4qk2m1:\n", "given twice"),  # two owners
        ("role_arn: acs:ram::3", "role_arn: acs:ram::9", "another account"),
        (
            "role_arn: acs:ram::3000400050006000:role/ecr-a",
            "role_arn: acs:ram::*:role/a",
            "pattern",
        ),
        ("3000400050006000:role/ecr-authorization", "3000400050006000:role/*", "pattern"),
        ("owner_uid: '1000200030004000'", "owner_uid: '*'", "pattern"),
        ("owner_uid: '1000200030004000'", "owner_uid: '１０００200030004000'", "pattern"),
        ("owner_uid: '1000200030004000'", "owner_uid: '1000200030004000 '", "pattern"),
        ("owner_uid: '1000200030004000'", "owner_uid: 1000200030004000", "string"),
        ("ecr_id: ecr-hz7core4qk2m1", "ecr_id: ecr-hz7cоre4qk2m1", "pattern"),  # a Cyrillic o
        ("name: factory", 'name: "fac\\u202Etory"', "pattern"),
        ("name: factory", "name: fac\u202etory", "U+202E"),
        ("name: factory", "name: fac\u00a0tory", "U+00A0"),
        ("name: factory", "name: fac\u200btory", "U+200B"),
        ("name: factory", "name: fac\ttory", "U+0009"),
        ("name: factory", "name: ' factory'", "blanks around"),
        ("name: factory", 'name: "fac\\u00A0tory"', "no space"),
        ("name: factory", "name: Payments", "2000300040005000's name, too"),
        ("name: factory", "name: ｐayments", "name, too"),  # a wide letter
        ("regions: [cn-hangzhou]", "regions: [cn-*]", "pattern"),
        ("regions: [cn-hangzhou]", "regions: [cn-hangzhou, cn-hangzhou]", "twice"),
        ("regions: [cn-hangzhou]", "regions: []", "at least 1"),
        ("name: laboratory", "<<: {longest_lease_days: 1}\n    name: laboratory", "merges"),
        ("name: laboratory", "name: &a laboratory\n    x: *a", "aliases"),
        ("longest_lease_days: 90", "longest_lease_days: 0", "greater than"),
    ],
    ids=range(26),
)
def test_a_mistake_in_the_registry_is_named_with_its_line(tmp_path, old, new, reason):
    assert old in GOOD
    file = tmp_path / "registry.yaml"
    file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadRegistry) as bad:
        registry.load(file)
    first = str(bad.value).split("\n")[0]
    assert reason in str(bad.value)
    line = int(first.split(":")[1])
    # Where keys were added before it, the mistake is on the next line.
    assert 0 <= line - line_of(GOOD, old) <= 2, first


def test_every_mistake_is_named_at_once_and_none_shows_a_value(tmp_path):
    file = tmp_path / "registry.yaml"
    text = GOOD.replace("acs:ram::2", "acs:ram::9").replace("acs:ram::3", "acs:ram::8")
    file.write_text(text)
    with pytest.raises(BadRegistry) as bad:
        registry.load(file)
    assert str(bad.value).count("is a role of another account") == 2


SCOPES = """
senders:
  desk: {accounts: ['2000300040005000'], ecrs: all}
readers:
  audit: {accounts: all, ecrs: [ecr-hz7core4qk2m1], token_sha256: ['%s']}
"""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("'2000300040005000'", "'9000300040005000'", "senders.desk.accounts.0"),
        ("'2000300040005000'", "'*'", "senders.desk.accounts"),
        ("ecr-hz7core4qk2m1", "ecr-hz7core4qk2m9", "readers.audit.ecrs.0"),
        ("'%s'", "'%s', '%s'", "audit's token, too"),
        ("ecrs: all", "ecrs: any", "senders.desk.ecrs"),
    ],
    ids=range(5),
)
def test_a_scope_names_what_the_registry_has(tmp_path, old, new, reason):
    file = tmp_path / "registry.yaml"
    bare = GOOD.partition("# Who may post to intake")[0]
    file.write_text(bare + SCOPES.replace("%s", "0" * 64))
    assert load(file).senders["desk"].covers("2000300040005000", "ecr-hz7core4qk2m1")
    assert old in SCOPES
    file.write_text(bare + SCOPES.replace(old, new).replace("%s", "0" * 64))
    with pytest.raises(BadRegistry) as bad:
        load(file)
    assert reason in str(bad.value)


def test_a_freeze_ends_after_it_begins(tmp_path):
    file = tmp_path / "registry.yaml"
    file.write_text(GOOD + CLEANUP.replace("2027-01-04", "2026-01-04"))
    with pytest.raises(BadRegistry, match="is not after since"):
        load(file)


def test_the_build_checks_the_registry(tmp_path, capsys):
    assert check_registry([str(ROOT / "registry.yaml")]) == 0
    file = tmp_path / "registry.yaml"
    file.write_text(GOOD.replace("by_hand: wait", "by_hand: maybe"))
    assert check_registry([str(file)]) == 1
    assert "registry.yaml:6: ecrs.ecr-hz7core4qk2m1.by_hand" in capsys.readouterr().err
    assert check_registry([]) == 2
