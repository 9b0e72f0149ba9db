"""The README's pictures of the console: `make screenshots` takes them anew into docs/images/.

The times on them are of the day they were taken; everything else is the demo's world.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from demo import cleaning
from demo.__main__ import ACCOUNT_A, EXTERNAL_ID_KEY, ROOT
from demo.desk import Desk
from demo.signin import COOKIE, SignIn
from localcloud import worldfile
from localcloud.fc import Functions, load
from localcloud.server import LocalCloud

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = ROOT / "docs" / "images"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update",
             "--disable-sync"]  # fmt: skip
TICKETS = ("grant_vpc", "grant_vpc_other_region", "grant_vbr", "grant_attached_by_hand")
LONGEST_SECONDS = 60
WIDE: dict[str, Any] = {"viewport": {"width": 1660, "height": 600}}
NARROW: dict[str, Any] = {"viewport": {"width": 400, "height": 820}}


def main() -> int:
    """Take them; 1 where there is no browser."""
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, NAMES)]
    path = next((one for one in found if one), None)
    if path is None:
        print("no browser: install chromium, or name one by CHROMIUM", file=sys.stderr)
        return 1
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    url = f"http://127.0.0.1:{port}/_http/ecr-intake"
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, SignIn(url) as sign_in:
        environ = {
            "LEDGER_URL": f"sqlite:///{folder}/ledger.db",
            "EXTERNAL_ID_KEY": EXTERNAL_ID_KEY,
            "CLOUD_SECONDS": "1",
            **sign_in.environment,
        }
        functions = Functions(load(ROOT / "s.yaml", environ), account_uid=ACCOUNT_A, code=ROOT)
        world = worldfile.load(ROOT / "demo" / "world.yaml")
        with LocalCloud(world, functions=functions, port=port) as local, sync_playwright() as all_:
            prepare(local)
            browser = all_.chromium.launch(executable_path=path, args=ARGUMENTS)
            take(browser, sign_in)
            browser.close()
    return 0


def prepare(local: LocalCloud) -> None:
    """The demo's tickets have their answers, and the clean-up has looked."""
    desk, waiting = Desk(local.url), set()
    for name in TICKETS:
        asked = json.loads((ROOT / "events" / "requests" / f"{name}.json").read_text())
        waiting.add((asked["request_id"], "granted" if "by_hand" in name else "attached"))
        desk.post(asked)
    until = time.monotonic() + LONGEST_SECONDS
    while waiting and time.monotonic() < until:
        for event in desk.results(wait_seconds=1):
            waiting.discard((event["data"]["request_id"], event["data"]["outcome"]))
    local.cloud.ecr.grant(cleaning.STRAY, cleaning.STRAY_OWNER)
    event = json.dumps({"triggerName": "by hand", "payload": ""}).encode()
    local.cloud.fc.invoke("ecr-cleanup", event)


def take(browser: Browser, sign_in: SignIn) -> None:
    """The list, in light; a revoke about to be, in dark; one authorization, narrow, in Chinese."""
    shots = {
        "console-list": ({**WIDE, "color_scheme": "light"}, None),
        "console-revoke-dark": ({**WIDE, "color_scheme": "dark"}, "/revoke"),
        "console-narrow-zh": ({**NARROW, "color_scheme": "light", "locale": "zh-CN"}, ""),
    }
    for name, (options, path) in shots.items():
        context = browser.new_context(**options)
        token = sign_in.token("operator")
        context.add_cookies([{"name": COOKIE, "value": token, "url": sign_in.console}])
        page = context.new_page()
        page.goto(f"{sign_in.console}/console")
        if path is not None:
            page.get_by_role("link", name="vpc-bp1payments0main").click()
            page.goto(page.url + path)
        picture = FOLDER / f"{name}.png"
        page.screenshot(path=picture)
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1024} KB")
        context.close()


if __name__ == "__main__":
    sys.exit(main())
