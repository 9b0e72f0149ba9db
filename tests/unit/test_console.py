"""The console's own rules: who is let in, which forms are ours, what is asked for and shown."""

from __future__ import annotations

import base64
import json
import re
import string
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from pydantic import SecretStr

from functions.intake.event import request_of
from functions.intake.wiring import IntakeHouse
from shared.authorization import Authorization, Lease
from shared.console import settings
from shared.console.acting import plan
from shared.console.assets import assets, served
from shared.console.charts import HEIGHT, drawn
from shared.console.forms import GOOD_FOR, Forms, NotOurForm
from shared.console.looking import Bar, asked
from shared.console.pages import Frame, page, visible
from shared.console.people import NotSignedIn, People
from shared.console.words import LANGUAGES, chosen, read, words
from shared.contract import AuthorizationId, Problem
from shared.doctor.remedies import EXPLAINED
from shared.intake.webhooks import BadSecrets
from shared.registry import ConsoleRole, Registry, load
from simulation.memory import MemoryLedger

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "shared" / "console"
NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
AT = int(NOW.timestamp())
KEY = ECKey.generate_key("P-256", {"kid": "one"})
OTHER = ECKey.generate_key("P-256", {"kid": "one"})
SECRET = SecretStr("a-secret-of-forty-characters-or-more-0000")
TOLD = {
    "url": "https://ecr.example.com",
    "issuer": "https://idp.example.com",
    "audience": "ecr-console",
    "keys": {"keys": [KEY.as_dict(private=False)]},
    "algorithm": "ES256",
    "token": "header:x-identity",
}
CLAIMS = {
    "iss": "https://idp.example.com",
    "aud": "ecr-console",
    "sub": "00u1",
    "email": "ann@example.com",
    "roles": ["somebody", "ecr-viewer"],
    "iat": AT - 10,
    "exp": AT + 3600,
}
ROLES = {
    "ecr-operator": ConsoleRole(may="act", accounts="all", ecrs="all"),
    "ecr-viewer": ConsoleRole(may="view", accounts="all", ecrs="all"),
}
OF = AuthorizationId(
    ecr_id="ecr-hz7core4qk2m1",
    ecr_owner_uid="1000200030004000",
    instance_id="vpc-bp1payments0main",
    instance_type="VPC",
    instance_region_id="cn-hangzhou",
    instance_owner_uid="2000300040005000",
)


def read_settings(**changes):
    return settings.read(json.dumps({**TOLD, **changes}), SECRET)


def signed(claims=None, key=KEY, algorithm="ES256", header=None, **changes):
    given = {**(CLAIMS if claims is None else claims), **changes}
    given = {name: value for name, value in given.items() if value is not None}
    head = {"alg": algorithm, "kid": "one"} if header is None else header
    return jwt.encode(head, given, key, algorithms=[algorithm])


def person(token, **changes):
    header = {"x-identity": token}
    return People(read_settings(**changes), ROLES).person(header, NOW)


# Who is let in ------------------------------------------------------------------------------------


def test_who_has_a_role_is_let_in_with_it():
    found = person(signed())
    assert (found.name, found.subject, found.may_act, found.sees_all) == (
        "ann@example.com", "00u1", False, True
    )  # fmt: skip
    assert person(signed(roles=["ecr-viewer", "ecr-operator"])).may_act
    assert person(signed(roles="x ecr-operator")).may_act  # as some providers have it


@pytest.mark.parametrize("roles", [None, [], ["Ecr-Viewer"], {"ecr-viewer": 1}, 7, "ecr-viewers"])
def test_who_has_no_role_may_nothing(roles):
    found = person(signed(roles=roles))
    assert (found.role, found.may_act, found.sees_all) == (None, False, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": AT - 31},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": AT + 25 * 3600},
        {"exp": True},
        {"nbf": AT + 60},
        {"iat": AT + 60},
        {"iss": "https://other.example.com"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"email": None},
        {"email": ""},
        {"email": "a\nb"},
        {"email": "a\u202eb"},
        {"email": ["a"]},
        {"email": "x" * 201},
    ],
    ids=str,
)
def test_a_token_whose_claims_are_not_right_lets_nobody_in(changes):
    with pytest.raises(NotSignedIn):
        person(signed(**changes))


def _unsigned(algorithm):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(CLAIMS)}."


def _as_shared():
    """HS256 by the public key: what a verifier takes that lets the token say the algorithm."""
    key = OctKey.import_key(json.dumps(KEY.as_dict(private=False)).encode())
    return jwt.encode({"alg": "HS256", "kid": "one"}, CLAIMS, key, algorithms=["HS256"])


def _tampered():
    head, body, tail = signed().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["roles"] = ["ecr-operator"]
    altered = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{head}.{altered}.{tail}"


NOT_THE_ISSUERS = {
    "empty": "",
    "no parts": "x",
    "no base64": "a.b.c",
    "five parts": "a.b.c.d.e",
    "alg none": _unsigned("none"),
    "alg None": _unsigned("None"),
    "alg none with a signature": _unsigned("none") + "x",
    "the public key as a shared one": _as_shared(),
    "tampered": _tampered(),
    "another key": signed(key=OTHER),
    "a key that is not known": signed(header={"alg": "ES256", "kid": "two"}),
    "another algorithm": signed(key=RSAKey.generate_key(2048), algorithm="RS256"),
    "something behind": signed() + "=",
    "upper case": signed().upper(),
    "too long": "x" * 7000,
}


@pytest.mark.parametrize("what", NOT_THE_ISSUERS)
def test_a_token_that_is_none_of_the_issuers_lets_nobody_in(what):
    with pytest.raises(NotSignedIn):
        person(NOT_THE_ISSUERS[what])


def test_a_bearer_token_and_a_cookie_are_taken_where_they_are_said_to_be_and_nowhere_else():
    token = signed()
    bearer = People(read_settings(token="header:authorization"), ROLES)
    assert bearer.person({"authorization": f"Bearer {token}"}, NOW).subject == "00u1"
    cookie = People(read_settings(token="cookie:ecr"), ROLES)
    assert cookie.person({"cookie": f"a=b; ecr={token}"}, NOW).subject == "00u1"
    for headers in (
        {},
        {"authorization": token},
        {"authorization": f"Basic {token}"},
        {"x-identity": token},
        {"cookie": f"ecr={token}; ecr={token}"},
    ):
        for people in (bearer, cookie):
            with pytest.raises(NotSignedIn):
                people.person(headers, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://ecr.example.com"},
        {"url": "https://ecr.example.com?x"},
        {"url": "http://127.0.0.1.example.com"},
        {"algorithm": "HS256"},
        {"algorithm": "none"},
        {"algorithm": "RS256"},
        {"keys": {"keys": []}},
        {"keys": {"keys": [KEY.as_dict(private=True)]}},
        {"keys": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
        {"keys": {"keys": [{"kty": "EC"}, {"kty": "EC"}]}},
        {"token": "query:token"},
        {"issuer": ""},
        {"surplus": 1},
    ],
    ids=" ".join,
)
def test_settings_that_would_let_others_in_are_refused_at_start(changes):
    with pytest.raises(settings.BadConsole) as refused:
        read_settings(**changes)
    assert "c2VjcmV0" not in str(refused.value)
    assert KEY.as_dict(private=True)["d"] not in str(refused.value)


def test_without_settings_there_is_no_console_and_without_a_secret_none_starts():
    assert settings.read("", SecretStr("")) is None
    with pytest.raises(settings.BadConsole):
        settings.read(json.dumps(TOLD), SecretStr("short"))
    with pytest.raises(settings.BadConsole):
        settings.read("{", SECRET)


# Forms --------------------------------------------------------------------------------------------

FORMS = Forms(SECRET, "https://ecr.example.com")
OURS = {"origin": "https://ecr.example.com", "sec-fetch-site": "same-origin"}


def test_a_form_is_taken_from_who_was_shown_it_for_what_it_is_for_until_it_is_too_old():
    token = FORMS.token("ann", "revoke x", NOW)
    FORMS.check(OURS, token, "ann", "revoke x", NOW)
    FORMS.check(OURS, token, "ann", "revoke x", NOW + GOOD_FOR)
    FORMS.check({"origin": "https://ecr.example.com"}, token, "ann", "revoke x", NOW)
    FORMS.check({"sec-fetch-site": "same-origin"}, token, "ann", "revoke x", NOW)
    for subject, what, at in (
        ("bob", "revoke x", NOW),
        ("ann", "revoke y", NOW),
        ("annrevoke ", "x", NOW),
        ("ann", "revoke x", NOW + GOOD_FOR + timedelta(seconds=1)),
    ):
        with pytest.raises(NotOurForm):
            FORMS.check(OURS, token, subject, what, at)


@pytest.mark.parametrize("token", ["", "x", ".", "9" * 11 + "." + "0" * 64, "1.2"])
def test_a_form_without_its_token_is_not_taken(token):
    with pytest.raises(NotOurForm):
        FORMS.check(OURS, token, "ann", "revoke x", NOW)


def test_the_time_in_a_token_cannot_be_put_off():
    until, _, made = FORMS.token("ann", "x", NOW).partition(".")
    with pytest.raises(NotOurForm):
        FORMS.check(OURS, f"{int(until) + 1}.{made}", "ann", "x", NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "https://evil.example.com"},
        {"origin": "http://ecr.example.com"},
        {"origin": "https://ecr.example.com.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://ecr.example.com", "sec-fetch-site": "cross-site"},
    ],
    ids=str,
)
def test_a_form_from_elsewhere_is_not_taken(headers):
    token = FORMS.token("ann", "x", NOW)
    with pytest.raises(NotOurForm):
        FORMS.check(headers, token, "ann", "x", NOW)


# What is asked for --------------------------------------------------------------------------------


def held(*leases, **given):
    made = tuple(
        Lease(id=one, ticket=f"T-{one}", since=NOW, expires_at=NOW + timedelta(days=9))
        for one in leases
    )
    return Authorization(id=OF, generation=1, leases=made, **given)


def test_what_is_asked_for_has_one_id_while_the_same_stands_and_another_when_it_does_not():
    ledger = MemoryLedger()
    first = plan(ledger, held("a", "b"), "revoke", None)
    assert plan(ledger, held("b", "a"), "revoke", None).request_id == first.request_id
    others = [
        plan(ledger, held("a"), "revoke", None),
        plan(ledger, held("a", "b"), "renew", None),
        plan(ledger, held("a", "b"), "end", "a"),
        plan(ledger, held("a", "b"), "end", "b"),
        plan(ledger, held("a", "b").next_generation(), "revoke", None),
    ]
    assert len({first.request_id, *(one.request_id for one in others)}) == 6
    assert all(re.fullmatch(r"console-[a-z]+-[0-9a-f]{24}", one.request_id) for one in others)


def test_a_plan_says_what_ends_and_what_keeps_it():
    ledger = MemoryLedger()
    every = plan(ledger, held("a", "b"), "revoke", None)
    assert [one.id for one in every.ending] == ["a", "b"]
    assert every.kept_by == ()
    one = plan(ledger, held("a", "b"), "end", "a")
    assert ([x.id for x in one.ending], [x.id for x in one.kept_by]) == (["a"], ["b"])
    renewed = plan(ledger, held("a", "b"), "renew", None)
    assert (renewed.ending, len(renewed.kept_by), renewed.ticket) == ((), 2, "T-b")
    assert plan(ledger, held("a"), "end", "gone").is_moot
    assert plan(ledger, held("a"), "end", None).is_moot
    assert plan(ledger, held(), "revoke", None).is_moot


# What is shown ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "cookie", "header", "language"),
    [
        (None, "", "", "en"),
        ("zh", "en", "en", "zh"),
        ("xx", "zh", "en", "zh"),
        (None, "xx", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "", "fr,en;q=0.4,zh-TW;q=0.5", "zh"),
        (None, "", "fr;q=1,de", "en"),
        (None, "", ",;q=,en;q=9,zh;q=0.1", "en"),
    ],
)
def test_the_language_is_what_the_address_says_then_the_cookie_then_the_browser(
    query, cookie, header, language
):
    assert chosen(query, cookie, header) == language


def fields_of(text):
    return {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}


def test_both_languages_say_the_same_things_with_the_same_fields():
    english, chinese = read("en"), read("zh")
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert fields_of(text) == fields_of(chinese[key]), key
    assert (chinese["revoke"], chinese["peer_account_uid"]) == ("取消授权", "对方账号UID")
    assert english["revoke"] == "Revoke Authorization"


def test_every_text_that_the_code_names_is_there_and_no_other():
    texts = read("en")
    sources = [*CONSOLE.glob("*.py"), *CONSOLE.glob("templates/*.html")]
    told = "\n".join(path.read_text() for path in sources)
    named = set(re.findall(r"\bt\('(\w+)'[,)]", told)) | set(re.findall(r"words\(\"(\w+)\"", told))
    assert named <= texts.keys()
    made = ("state_", "association_", "action_", "step_", "days_", "level_", "role_", "language_",
            "title_", "do_", "brake_", "sort_", "will_wait_", "finding_")  # fmt: skip
    how = {f"{name}_how" for name in re.findall(r"MessageInstead\(\"(\w+)\"", told)}
    unused = [
        key
        for key in texts
        if not key.startswith(made) and key not in how and f'"{key}"' not in told
        and f"'{key}'" not in told
    ]  # fmt: skip
    assert unused == []


def test_every_finding_has_a_name_in_the_readers_language():
    """Those of the clean-up and the audit are headings of runbooks, as tests/docs holds."""
    runbooks = (ROOT / "docs" / "runbooks.md").read_text().partition("\n## Findings\n")[2]
    known = set(re.findall(r"^### `(\w+)`$", runbooks, re.MULTILINE)) | EXPLAINED.keys()
    named = {key.removeprefix("finding_") for key in read("zh") if key.startswith("finding_")}
    assert named == known


def test_what_is_wrong_is_told_in_the_readers_language():
    problem = Problem(code="account_unknown", message="M.", remedy="R.")
    assert words("en").why(problem) == ("M.", "R.")
    assert words("zh").why(problem) != ("M.", "R.")
    assert words("zh").why(problem.model_copy(update={"code": "new_code"})) == ("M.", "R.")


def test_what_hides_or_turns_text_around_is_written_out():
    assert visible("a\u202eb\u2066c\u200bd\x00e") == "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200B⟩d⟨U+0000⟩e"
    assert visible("中文 ü") == "中文 ü"


def frame(**given):
    whole = {
        "base": "/base",
        "words": words("en"),
        "person": person(signed(roles=["ecr-operator"])),
        "registry": Registry(ecrs={}, accounts={}),
        "now": NOW,
        "path": "/console",
        "query": {},
    }
    return Frame(**{**whole, **given})


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\u202e"


@pytest.mark.parametrize("language", LANGUAGES)
def test_text_of_others_is_shown_as_text(language):
    evil = held("a").model_copy(
        update={"leases": (Lease(id="a", ticket=HOSTILE, since=NOW),), "unverified": HOSTILE}
    )
    found = plan(MemoryLedger(), evil, "revoke", None)
    shown = page(
        "confirm",
        frame(words=words(language)),
        plan=found,
        problem=(HOSTILE, HOSTILE, HOSTILE),
        fields={"ticket": HOSTILE, "reason": HOSTILE},
        by_hand="wait",
        until="2026-12-24",
        token=HOSTILE,
    )
    assert "<script>alert" not in shown
    assert "<img" not in shown
    assert "\"'>" not in shown
    assert "{{7*7}}" in shown
    assert "\u202e" not in shown


def test_a_page_has_no_script_style_or_handler_in_it_and_nothing_from_elsewhere():
    for path in CONSOLE.glob("templates/*.html"):
        text = path.read_text()
        assert not re.search(
            r"<style|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe|http:|https:", text
        )
        assert all("src=" in one for one in re.findall(r"<script[^>]*>", text))
    script = (CONSOLE / "assets" / "console.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    style = (CONSOLE / "assets" / "console.css").read_text()
    assert not re.search(r"url\(|@import", style)


def test_a_file_is_served_under_the_hash_of_what_is_in_it_alone():
    for asset in assets().values():
        assert served(asset.name) is asset
    assert served("console.css") is None
    assert served("console.0000000000000000.css") is None
    assert served("../pages.py") is None


def test_a_chart_is_as_high_as_its_highest_bar_and_never_higher():
    bars = drawn([Bar("1", 0), Bar("7", 5), Bar("30", 10)])
    assert [bar.height for bar in bars] == [0, bars[2].height / 2, bars[2].height]
    assert all(bar.y >= 0 and bar.y + bar.height <= HEIGHT for bar in bars)
    assert [bar.height for bar in drawn([Bar("1", 0)])] == [0]


def test_the_address_of_the_list_says_which_and_what_is_wrong_in_it_is_named():
    wanted, bad = asked({"ecr": " ecr-hz7core4qk2m1 ", "before": "2026-12-31", "sort": "end"})
    assert (wanted.ecr_id, wanted.order, bad) == ("ecr-hz7core4qk2m1", "end", ())
    assert wanted.expiring_before == datetime(2026, 12, 31, tzinfo=timezone.utc)
    _, bad = asked({"ecr": "x", "account": "1", "state": "none", "before": "soon", "sort": "?"})
    assert bad == ("ecr", "account", "state", "before", "sort")
    assert asked({"surplus": "1", "state": ""})[1] == ()


# The registry, and intake -------------------------------------------------------------------------


def test_the_shipped_registry_lets_roles_in_and_a_scope_that_is_unknown_is_refused(tmp_path):
    assert list(load(ROOT / "registry.yaml").console) == [
        "ecr-operator", "ecr-viewer", "payments-viewer"
    ]  # fmt: skip
    text = (ROOT / "registry.yaml").read_text()
    path = tmp_path / "registry.yaml"
    head, mark, rest = text.partition("payments-viewer: {may: view, accounts: ['2000300040005000'")
    path.write_text(head + mark.replace("2000300040005000", "9999300040005000") + rest)
    with pytest.raises(ValueError, match=r"console\.payments-viewer\.accounts"):
        load(path)
    path.write_text(text.replace("ecr-viewer: {may: view", "ecr-viewer: {may: own"))
    with pytest.raises(ValueError, match=r"console\.ecr-viewer\.may"):
        load(path)


def house(tmp_path, **environ):
    given = {
        "FC_ACCOUNT_ID": "1000200030004000",
        "FC_REGION": "cn-hangzhou",
        "LEDGER_URL": f"sqlite:///{tmp_path}/l.db",
        "REGISTRY_FILE": str(ROOT / "registry.yaml"),
    }
    return IntakeHouse({**given, **environ}, lambda: NOW)


def asked_for(path, method="GET", headers=None):
    event = json.loads((ROOT / "events" / "http_post.json").read_text())
    event |= {"rawPath": path, "headers": headers or {}, "body": ""}
    event["requestContext"]["http"] |= {"method": method, "path": path}
    return request_of(json.dumps(event).encode())[0]


def test_where_nothing_is_set_there_is_no_console(tmp_path):
    closed = house(tmp_path)
    for path in ("/console", "/console/brakes", "/console/assets/console.css"):
        assert closed.door.answer(asked_for(path), None).status_code == 404
    closed.close()


def test_no_webhook_speaks_for_the_console(tmp_path):
    secrets = json.dumps({"console": ["whsec_" + base64.b64encode(b"x" * 32).decode()]})
    with pytest.raises(BadSecrets):
        house(tmp_path, WEBHOOK_SECRETS=secrets)


def test_settings_that_are_wrong_stop_intake_before_its_first_request(tmp_path):
    with pytest.raises(settings.BadConsole):
        house(tmp_path, CONSOLE=json.dumps(TOLD))
