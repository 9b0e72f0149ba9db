"""`make up`: the cloud and the functions until Ctrl-C, and the console in a browser."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from demo.desk import Desk, is_up
from demo.signin import SignIn
from demo.systems import TicketingSystems
from localcloud.cli import app

ROOT = Path(__file__).parents[1]
PORT = 8080
SIGN_IN_PORT = 8090
SEED = ("grant_vpc_other_region", "grant_vbr", "grant_attached_by_hand")
"""Tickets that are there from the start, so that there is something to look at."""
LONGEST_SECONDS = 30


def main(port: int = PORT, sign_in_port: int = SIGN_IN_PORT) -> int:
    """Serve until interrupted."""
    url = f"http://127.0.0.1:{port}"
    with (
        tempfile.TemporaryDirectory() as folder,
        SignIn(f"{url}/_http/ecr-intake", sign_in_port) as sign_in,
        TicketingSystems(Path(folder)) as ticketing,
    ):
        os.environ.update(sign_in.environment | ticketing.environment)
        print(f"The console: {sign_in.url}/  (pick who you are)\n", flush=True)
        threading.Thread(target=seed, args=(url,), daemon=True).start()
        place = ["--world", str(ROOT / "demo" / "world.yaml"), "--s-yaml", str(ROOT / "s.yaml")]
        app(["up", *place, "--code", str(ROOT), "--port", str(port)], standalone_mode=False)
    return 0


def seed(url: str) -> None:
    """The first tickets are posted, once the cloud answers."""
    until = time.monotonic() + LONGEST_SECONDS
    while not is_up(url) and time.monotonic() < until:
        time.sleep(0.1)
    desk = Desk(url)
    for number, name in enumerate(SEED):
        asked = json.loads((ROOT / "events" / "requests" / f"{name}.json").read_text())
        desk.post({**asked, "request_id": f"SEED-{number + 1}", "ticket": f"SEED-{number + 1}"})


if __name__ == "__main__":
    sys.exit(main())
