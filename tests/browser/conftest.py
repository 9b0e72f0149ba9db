"""The whole system on this machine, its console in Debian's Chromium, and people who sign in."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import time
from contextlib import contextmanager

import pytest
import requests
from playwright.sync_api import sync_playwright

from demo.__main__ import ACCOUNT_A, EXTERNAL_ID_KEY, ROOT
from demo.desk import Desk
from demo.signin import COOKIE, SignIn
from localcloud import worldfile
from localcloud.fc import Functions, load
from localcloud.server import LocalCloud
from shared.ledger.sql import SqlLedger
from tests.browser.brake import put_on

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MOMENT = 15
"""Seconds that something may take to become so."""
START_SECONDS = 90
"""The same for the first tickets: five functions start, beside whatever else is tested."""
# Printable, and so within what a request may say; what hides is in the brake's list.
HOSTILE = "<script>window.pwned=1</script>\"'><img src=x onerror=window.pwned=2>{{7*7}}"


def executable():
    """The browser: what CHROMIUM names, else the first that is installed."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for path in map(shutil.which, NAMES) if path), None)


class Site:
    """The console of a running system, and what the tests know of it."""

    def __init__(self, local, sign_in, browser, ledger, secrets):
        self.local = local
        self.sign_in = sign_in
        self.base = sign_in.console
        self.browser = browser
        self.ledger = ledger
        self.secrets = secrets
        self.texts = []

    @contextmanager
    def seen(self, who="operator", *, troubles=False, **context):
        """A page in a browser of its own; nothing may be wrong in its console, but where told."""
        with self.context(who, **context) as opened, self.page(opened, troubles=troubles) as page:
            yield page

    @contextmanager
    def context(self, who="operator", token=None, **given):
        made = self.browser.new_context(locale=given.pop("locale", "en-GB"), **given)
        made.set_default_timeout(MOMENT * 1000)
        if who:
            value = token or self.sign_in.token(who)
            made.add_cookies([{"name": COOKIE, "value": value, "url": self.local.url}])
        try:
            yield made
        finally:
            made.close()

    @contextmanager
    def page(self, context, *, troubles=False):
        page = context.new_page()
        wrong, documents = [], []
        page.on("console", lambda one: wrong.append(one.text) if one.type != "log" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("response", lambda answer: documents.append(answer))  # noqa: PLW0108 -- as it needs
        yield page
        self.texts.append(page.content())
        for answer in documents:
            ours = answer.url.startswith(self.base)
            if ours and answer.request.resource_type in ("document", "fetch"):
                check_headers(answer.headers)
        loads = "Failed to load resource"
        wrong = [one for one in wrong if not (troubles and one.startswith(loads))]
        assert wrong == []
        assert page.evaluate("window.pwned") is None
        page.close()

    def url(self, path=""):
        return f"{self.base}/console{path}"

    def post(self, name, request_id, **changes):
        """A ticket is posted, and has its answer."""
        self.posted(name, request_id, **changes)
        self.until(lambda: self.outcome(request_id))

    def posted(self, name, request_id, **changes):
        """A ticket is posted."""
        asked = json.loads((ROOT / "events" / "requests" / f"{name}.json").read_text())
        given = {**asked, "request_id": request_id, "ticket": request_id, **changes}
        Desk(self.local.url).post(given)

    def outcome(self, request_id):
        found = self.ledger.request(request_id)
        return found and found.outcome

    def until(self, condition, seconds=MOMENT):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "it did not come to pass"
            time.sleep(0.05)

    def received(self):
        """The ids of requests that authorize has taken, in order, as often as it has."""
        lines = self.local.cloud.fc.logs("ecr-authorize")
        found = [json.loads(line) for line in lines if line[:1] == "{"]
        return [one["request_id"] for one in found if one.get("event") == "request_received"]

    def key(self, instance_id):
        rows = self.ledger.authorizations("", "", 100)
        return next(key for key, _ in rows if f":{instance_id}:" in key)

    def standing(self, instance_id):
        rows = self.local.cloud.ecr.grants()
        return [one for one in rows if one.subject.instance_id == instance_id]

    def send(self, path, fields, who="operator", **headers):
        """A form as it is sent, by whatever sends it."""
        given = {"Origin": self.local.url, "Cookie": f"{COOKIE}={self.sign_in.token(who)}"}
        answer = requests.post(
            self.url(path),
            data=fields,
            headers={**given, **headers},
            allow_redirects=False,
            timeout=20,
        )
        check_headers(answer.headers)
        return answer

    def fields(self, path, who="operator"):
        """The hidden fields of a form as somebody is shown it."""
        cookie = {COOKIE: self.sign_in.token(who)}
        text = requests.get(self.url(path), cookies=cookie, timeout=20).text
        return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', text))


def check_headers(headers):
    """What every page comes with."""
    found = {name.lower(): value for name, value in headers.items()}
    assert found["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert found["cache-control"] == "no-store"
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "same-origin"


@pytest.fixture(scope="session")
def browser():
    path = executable()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed, CHROMIUM names none")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def site(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("console")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with SignIn(f"http://127.0.0.1:{port}/_http/ecr-intake") as sign_in:
        environ = {
            "LEDGER_URL": f"sqlite:///{folder}/ledger.db",
            "EXTERNAL_ID_KEY": EXTERNAL_ID_KEY,
            "CLOUD_SECONDS": "1",
            **sign_in.environment,
        }
        secrets = [sign_in.environment["CONSOLE_SECRET"], environ["CONSOLE_SECRET"],
                   EXTERNAL_ID_KEY, environ["LEDGER_URL"], "demo-ticketing-secret"]  # fmt: skip
        functions = Functions(load(ROOT / "s.yaml", environ), account_uid=ACCOUNT_A, code=ROOT)
        world = worldfile.load(ROOT / "demo" / "world.yaml")
        with LocalCloud(world, functions=functions, port=port) as local:
            ledger = SqlLedger(environ["LEDGER_URL"])
            made = Site(local, sign_in, browser, ledger, secrets)
            begin(made)
            yield made
            ledger.close()


def begin(site):
    """Tickets have been, one of them of somebody who means ill; the clean-up has run."""
    site.posted("grant_vpc", "CHG-1001")
    site.posted("grant_vpc_other_region", "CHG-1002", requester=HOSTILE, reason=HOSTILE)
    site.posted("grant_vbr", "CHG-1003")
    site.posted("grant_attached_by_hand", "CHG-1004")
    site.posted("grant_account_unknown", "CHG-1005")
    asked = [f"CHG-100{number}" for number in range(1, 6)]
    site.until(lambda: all(map(site.outcome, asked)), START_SECONDS)
    event = json.dumps({"triggerName": "by hand", "payload": ""}).encode()
    site.local.cloud.fc.invoke("ecr-cleanup", event)
    put_on(site.ledger, HOSTILE + "\u202e")
