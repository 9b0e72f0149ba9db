"""The console in a real browser: what a person does, and what nobody may."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe

from demo.signin import COOKIE
from shared.cleanup import brake, notes
from tests.browser.brake import put_on

pytestmark = pytest.mark.xdist_group("browser")  # they share one system and one browser
MAIN, ASIA = "vpc-bp1payments0main", "vpc-t4npayments0asia"
PLC, LINE = "vpc-bp1factory00plc", "vbr-bp1factory0line1"
SEPARATE = {"bypass_csp": True}
"""For axe alone: its script comes from the test, not from the page."""


def pages(site):
    """Every kind of page."""
    asia = f"/authorizations/{site.key(ASIA)}"
    return {
        "list": "",
        "bad filter": "?ecr=x",
        "empty": "?instance=vpc-none0none",
        "authorization": asia,
        "renew": f"{asia}/renew",
        "revoke": f"{asia}/revoke",
        "end": f"{asia}/end?lease=CHG-1002",
        "request": "/requests/CHG-1002",
        "rejected": "/requests/CHG-1005",
        "brakes": "/brakes",
        "drift": "/drift",
        "doctor": "/doctor",
        "expiries": "/expiries",
        "not there": "/requests/nothing",
    }


def go(locator):
    """It is clicked, and the page that it leads to is there."""
    with locator.page.expect_navigation():
        locator.click()


# A person's day -----------------------------------------------------------------------------------


def test_a_person_finds_renews_ends_and_revokes_and_watches_it_happen(site):
    with site.seen() as page:
        page.goto(site.url())
        assert page.locator("tbody tr").count() == 4
        page.get_by_label("Instance ID").fill(MAIN)
        go(page.get_by_role("button", name="Show"))
        assert f"instance={MAIN}" in page.url  # a link to just this can be sent to somebody
        row = page.locator("tbody tr")
        assert row.count() == 1
        for told in ("attached", "VPC", "cn-hangzhou", "2000300040005000", "1000200030004000",
                     "ecr-hz7core4qk2m1", "CHG-1001", "active", "payments"):  # fmt: skip
            assert told in row.inner_text()
        go(page.get_by_role("link", name=MAIN))
        here = page.url

        go(page.get_by_role("link", name="Renew"))
        page.get_by_label("Ticket").fill("CHG-2001")
        page.get_by_label("Reason").fill("Still needed")
        page.get_by_label("Renew until").fill("2029-12-31")
        go(page.get_by_role("button", name="Renew"))
        page.wait_for_selector('#live[data-final="true"]')
        assert page.locator("#live").get_attribute("data-state") == "attached"
        assert "operator@example.com" in page.locator("#live").inner_text()

        page.goto(here)
        assert "2029-12-31 23:59:59" in page.locator("table").inner_text()
        go(page.get_by_role("row", name="CHG-1001").get_by_role("link", name="End"))
        steps = page.locator(".steps").inner_text()
        assert "stays" in steps
        assert "CHG-2001" in steps
        go(page.get_by_role("button", name="End this lease"))
        page.wait_for_selector('#live[data-final="true"]')
        assert len(site.standing(MAIN)) == 1

        page.goto(here)
        go(page.get_by_role("link", name="Revoke Authorization"))
        steps = page.locator(".steps").inner_text()
        assert steps.index("detached from the ECR first") < steps.index("taken back")
        go(page.get_by_role("button", name="Revoke Authorization"))
        assert page.locator("#live").get_attribute("data-final") == "false"
        loaded = page.evaluate("performance.getEntriesByType('navigation').length")
        page.wait_for_selector('#live[data-state="revoked"][data-final="true"]')
        assert page.evaluate("performance.getEntriesByType('navigation').length") == loaded
        story = page.locator(".timeline").inner_text()
        order = [story.index(one) for one in ("posted", "received", "revoking", "detached")]
        assert order == sorted(order)
        assert site.standing(MAIN) == []

        go(page.get_by_role("link", name="The authorization"))
        assert page.locator(".state").first.inner_text() == "revoked"
        assert page.get_by_role("link", name="Revoke Authorization").count() == 0
        assert "revoke asked in the console" in page.locator(".timeline").inner_text()
    entries = [one for one in site.ledger.entries(site.key(MAIN)) if "console" in one.what]
    assert [one.what.split()[0] for one in entries] == ["renew", "end", "revoke"]
    assert {one.facts["requester"] for one in entries} == {"operator@example.com"}


def test_of_two_tabs_the_second_is_told_what_the_first_did_and_there_is_one_request(site):
    at = f"/authorizations/{site.key(PLC)}/revoke"
    other = {"sub": "demo-second", "email": "second@example.com"}
    with (
        site.context() as mine,
        site.context(token=site.sign_in.token("operator", **other)) as theirs,
        site.page(mine) as first,
        site.page(mine) as second,
        site.page(theirs) as third,
    ):
        for tab in (first, second, third):
            tab.goto(site.url(at))
        third.get_by_label("Reason").fill("By somebody else")
        go(first.get_by_role("button", name="Revoke Authorization"))
        for tab in (second, third):
            go(tab.get_by_role("button", name="Revoke Authorization"))
            notice = tab.locator(".notice").inner_text()
            assert "already, by operator@example.com" in notice
            assert tab.url.partition("?")[0] == first.url.partition("?")[0]
        first.wait_for_selector('#live[data-state="revoked"]')
        request_id = first.url.rpartition("/")[2]
        third.goto(site.url(at))  # what stands now leaves nothing to ask for
        assert "Nothing is left to do" in third.locator(".notice").inner_text()
    assert site.received().count(request_id) == 1


def test_a_form_shown_before_something_changed_asks_for_nothing(site):
    at = f"/authorizations/{site.key(LINE)}"
    with site.seen(troubles=True) as page:
        page.goto(site.url(f"{at}/revoke"))
        site.post("grant_vbr", "CHG-1103")  # another ticket holds it meanwhile
        go(page.get_by_role("button", name="Revoke Authorization"))
        assert "has changed" in page.locator(".notice").inner_text()
        go(page.get_by_role("link", name="Look again"))
        assert page.get_by_role("row", name="CHG-1103").count() == 1
    assert len(site.standing(LINE)) == 1


def test_a_refusal_is_told_where_it_was_asked_and_what_was_typed_stays(site):
    with site.seen(troubles=True) as page:
        page.goto(site.url(f"/authorizations/{site.key(ASIA)}/renew"))
        page.get_by_label("Renew until").fill("2020-01-01")
        page.get_by_label("Reason").fill("Because")
        go(page.get_by_role("button", name="Renew"))
        assert "expiry_in_the_past" in page.locator(".notice").inner_text()
        assert page.get_by_label("Reason").input_value() == "Because"


def test_a_brake_is_released_once_with_the_operators_name(site):
    digest = put_on(site.ledger, "CHG-9")
    with (
        site.context() as context,
        site.page(context, troubles=True) as late,
        site.page(context) as page,
    ):
        for tab in (page, late):
            tab.goto(site.url("/brakes"))
            assert digest in tab.locator("main").inner_text()
            assert "vpc-bp1payments0test" in tab.locator("table").inner_text()
        go(page.get_by_role("button", name="Release"))
        assert "Released" in page.locator(".notice").inner_text()
        go(late.get_by_role("button", name="Drop"))
        assert "somebody else was quicker" in late.locator(".notice").inner_text()
        assert "operator@example.com" in late.locator("main").inner_text()
    noted = notes.noted(site.ledger, brake.BRAKE, brake.BrakeOn).document
    assert (noted.released_by, noted.dropped_by) == ("operator@example.com", None)
    last = site.ledger.last_entry(notes.CHAIN)
    assert (last.what, last.facts["operator"]) == ("released", "operator@example.com")
    put_on(site.ledger, "<script>window.pwned=3</script>\u202e")


def test_without_javascript_everything_works_by_forms_and_reloading(site):
    with site.context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(site.url(f"/authorizations/{site.key(ASIA)}/renew"))
        page.get_by_label("Ticket").fill("CHG-2201")
        go(page.get_by_role("button", name="Renew"))
        request_id = page.url.rpartition("/")[2]
        site.until(lambda: site.outcome(request_id))
        page.reload()
        assert page.locator("#live").get_attribute("data-state") == "attached"


# Whoever it is ------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_axe_finds_nothing_serious_on_any_page_in_light_and_in_dark(site, language):
    found, colours = [], {"runOnly": ["color-contrast"]}  # all that a scheme changes
    locale = "zh-CN" if language == "zh" else "en-GB"
    with site.context(color_scheme="light", locale=locale, **SEPARATE) as context:
        page = context.new_page()
        for name, path in pages(site).items():
            page.goto(site.url(path))
            assert page.locator("html").get_attribute("lang").startswith(language)
            found += serious(name, Axe().run(page).response)
            page.emulate_media(color_scheme="dark")
            in_dark = page.evaluate("how => axe.run(document, how)", colours)
            found += serious(f"{name} in dark", in_dark)
            page.emulate_media(color_scheme="light")
    assert found == []


def serious(name, seen):
    assert seen["passes"]
    return [
        (name, one["id"], [node["html"] for node in one["nodes"]][:3])
        for one in seen["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def test_axe_would_find_what_is_serious(site):
    with site.context(**SEPARATE) as context:
        page = context.new_page()
        page.goto(site.url())
        page.evaluate(
            "document.querySelector('label').remove();"
            "document.querySelector('.count').style.color = '#ccc'"
        )
        ids = {one for _, one, _ in serious("spoilt", Axe().run(page).response)}
    assert {"label", "color-contrast"} <= ids


def test_no_page_scrolls_sideways_at_400_pixels(site):
    with site.seen(viewport={"width": 400, "height": 800}, troubles=True) as page:
        for name, path in pages(site).items():
            page.goto(site.url(path))
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, name


def test_everything_is_reached_by_the_keyboard_and_the_focus_is_seen(site):
    def press_until(page, text):
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "(() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return [e.textContent.trim() || e.name, s.outlineStyle, s.outlineWidth]; })()"
            )
            assert focused[1:] == ["solid", "3px"], focused
            if focused[0] == text:
                return
        raise AssertionError(f"{text} was never reached")

    with site.seen() as page:
        page.goto(site.url(f"?instance={ASIA}"))
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        press_until(page, ASIA)
        page.keyboard.press("Enter")
        page.wait_for_url("**/authorizations/**")
        press_until(page, "Renew")
        page.keyboard.press("Enter")
        page.wait_for_url("**/renew")
        press_until(page, "ticket")
        page.keyboard.press("Control+A")
        page.keyboard.type("CHG-2301")
        press_until(page, "Renew")
        page.keyboard.press("Enter")
        page.wait_for_url("**/requests/**")
        page.wait_for_selector('#live[data-final="true"]')


def test_the_language_is_chosen_once_and_kept(site):
    with site.seen(locale="en-GB") as page:
        page.goto(site.url(f"?instance={ASIA}"))
        go(page.get_by_role("link", name="中文"))
        assert f"instance={ASIA}" in page.url
        go(page.get_by_role("link", name=ASIA))
        assert page.get_by_role("link", name="取消授权").is_visible()
        assert "对方账号UID" in page.locator("main").inner_text()


# What nobody may ----------------------------------------------------------------------------------


def test_what_others_have_written_is_shown_as_text(site):
    with site.seen() as page:
        page.goto(site.url("/requests/CHG-1002"))
        shown = page.locator("#live").inner_text()
        assert shown.count("<script>window.pwned=1</script>") == 2  # the requester, the reason
        assert "{{7*7}}" in shown
        page.goto(site.url(f"/authorizations/{site.key(ASIA)}"))
        assert "<script>window.pwned=1</script>" in page.locator(".timeline").inner_text()
        page.goto(site.url("/brakes"))
        table = page.locator("table").inner_text()
        assert "<script>" in table
        assert "⟨U+202E⟩" in table
        assert "\u202e" not in table
        assert page.locator("main script, main img").count() == 0


def test_a_form_that_is_not_ours_is_not_taken_and_nothing_is_asked_for(site):
    at = f"/authorizations/{site.key(ASIA)}/revoke"
    good = {**site.fields(at), "ticket": "CHG-2401"}
    foreign = {"Origin": "https://evil.example.com"}
    before = dict(site.ledger.notes("posted/", "", 1000))
    tried = [
        site.send(at, {**good, "token": ""}),
        site.send(at, {name: value for name, value in good.items() if name != "token"}),
        site.send(at, good, **foreign),
        site.send(at, good, Origin="null"),
        site.send(at, good, **{"Sec-Fetch-Site": "cross-site"}),
        site.send(at, {**good, "request_id": "another"}),
        site.send(at.replace("revoke", "renew"), good),
        site.send(f"/authorizations/{site.key(LINE)}/revoke", good),
        site.send(at, b"ticket=a&ticket=b"),
        site.send(at, b"\xff\xfe"),
    ]
    assert [one.status_code for one in tried] == [403] * len(tried)
    someone = site.sign_in.token("operator", sub="somebody-else")
    stolen = site.send(at, good, Cookie=f"{COOKIE}={someone}")
    assert stolen.status_code == 403
    digest = notes.noted(site.ledger, brake.BRAKE, brake.BrakeOn).document.digest
    assert site.send("/brakes/release", {"digest": digest}).status_code == 403
    assert dict(site.ledger.notes("posted/", "", 1000)) == before
    assert notes.noted(site.ledger, brake.BRAKE, brake.BrakeOn).document.holds
    assert len(site.standing(ASIA)) == 1


def test_a_viewer_looks_and_may_ask_for_nothing(site):
    key = site.key(ASIA)
    with site.seen("viewer", troubles=True) as page:
        page.goto(site.url(f"/authorizations/{key}"))
        assert page.locator(".button, main button").count() == 0
        page.goto(site.url("/brakes"))
        assert page.locator("main button").count() == 0
        page.goto(site.url(f"/authorizations/{key}/revoke"))
        assert "lets you look" in page.locator(".notice").inner_text()
    fields = {**site.fields(f"/authorizations/{key}/revoke"), "ticket": "CHG-1"}
    assert site.send(f"/authorizations/{key}/revoke", fields, who="viewer").status_code == 403
    brakes = site.fields("/brakes")
    assert site.send("/brakes/release", brakes, who="viewer").status_code == 403


def test_who_sees_one_account_is_shown_nothing_of_another(site):
    with site.seen("payments", troubles=True) as page:
        page.goto(site.url())
        shown = page.locator("main").inner_text()
        assert ASIA in shown
        assert LINE not in shown
        for path in (f"/authorizations/{site.key(LINE)}", "/requests/CHG-1003"):
            answer = page.goto(site.url(path))
            assert answer.status == 404
        page.goto(site.url("?account=3000400050006000"))
        assert LINE not in page.locator("table").inner_text()
        for path in ("/brakes", "/doctor"):
            page.goto(site.url(path))
            assert "sees every account" in page.locator(".notice").inner_text()


def test_who_has_not_signed_in_or_has_no_role_is_told_what_to_do(site):
    with site.seen(None, troubles=True) as page:
        assert page.goto(site.url()).status == 401
        go(page.get_by_role("link", name="Sign in"))
        go(page.get_by_role("link", name="stranger@example.com"))
        page.wait_for_url("**/console")
        assert "registry.yaml" in page.locator(".notice").inner_text()
        assert page.locator("nav").count() == 0
    expired = site.sign_in.token("operator", exp=1)
    answer = requests.get(site.url(), cookies={COOKIE: expired}, timeout=20)
    assert answer.status_code == 401


def test_style_and_script_are_kept_for_long_and_pages_never(site):
    cookie = {COOKIE: site.sign_in.token("viewer")}
    text = requests.get(site.url(), cookies=cookie, timeout=20).text
    found = re.findall(r'(?:href|src)="([^"]+/assets/[^"]+)"', text)
    assert len(found) == 2
    for one in found:
        answer = requests.get(site.local.url + one, timeout=20)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    folder = str(Path(found[0]).parent)
    assert requests.get(f"{site.local.url}{folder}/console.js", timeout=20).status_code == 404


def test_no_secret_is_on_any_page(site):
    with site.seen(troubles=True) as page:
        for path in pages(site).values():
            page.goto(site.url(path))
            site.texts.append(page.content())
    assert len(site.texts) > 15
    for text in site.texts:
        for secret in site.secrets:
            assert secret not in text
        assert not re.search(r"whsec_|eyJ[A-Za-z0-9_-]{20}|STS\.|LTAI", text)
