"""The ticketing system's desk: `python -m demo.desk FILE…` posts requests and shows the results.

A request is put on the queue as any MNS client would do it. A ticket of events/tickets is posted to
intake, signed, as its system would.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from mns.account import Account
from mns.mns_exception import MNSServerException
from mns.queue import Message

from demo import systems

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_SECONDS = 15
"""How long a desk waits for one more result before it closes."""


class Desk:
    """The ticketing system: it knows its queues and its own key, and nothing else."""

    def __init__(self, url: str) -> None:
        account = Account(url, "LTAI-demo-ticketing", "demo-ticketing-secret")
        self._requests = account.get_queue("ecr-requests")
        self._results = account.get_queue("ticketing-results")
        self._requests.set_encoding(False)
        self._results.set_encoding(False)

    def post(self, request: dict[str, Any]) -> None:
        """Put a request on the queue."""
        self._requests.send_message(Message(json.dumps(request)))

    def results(self, wait_seconds: int) -> Iterator[dict[str, Any]]:
        """The results that have come, or come in `wait_seconds`, each taken off its queue."""
        try:
            messages = self._results.batch_receive_message(16, wait_seconds)
        except MNSServerException as error:
            if error.type != "MessageNotExist":
                raise
            return
        for message in messages:
            yield json.loads(message.message_body)
            self._results.delete_message(message.receipt_handle)


def main(files: list[str], url: str) -> int:
    """Post what is in `files`, then print each result until none has come for a while."""
    if not files:
        print("usage: python -m demo.desk events/requests/NAME.json …", file=sys.stderr)
        return 2
    if not is_up(url):
        print(f"Nothing answers at {url}: `make up` starts it.", file=sys.stderr)
        return 1
    desk = Desk(url)
    waiting = [request_id for file in files if (request_id := send(desk, Path(file), url))]
    quiet_since = time.monotonic()
    while waiting and time.monotonic() - quiet_since < WAIT_SECONDS:
        for event in desk.results(wait_seconds=1):
            print(json.dumps(event["data"], indent=2), flush=True)
            quiet_since = time.monotonic()
            if event["data"]["final"] and event["data"]["request_id"] in waiting:
                waiting.remove(event["data"]["request_id"])
    return 0


def is_up(url: str) -> bool:
    """Does the cloud of this machine answer?"""
    try:
        return requests.get(f"{url}/_localcloud/state", timeout=5).ok
    except requests.RequestException:
        return False


def send(desk: Desk, file: Path, url: str) -> str | None:
    """Post one file; gives the id of the request whose results will come."""
    is_ticket = file.parent.name == systems.TICKETS.name
    system = systems.of(file.stem) if is_ticket else None
    if system is None:
        request = json.loads(file.read_text())
        desk.post(request)
        return str(request.get("request_id"))
    answer = systems.post(f"{url}/_http/ecr-intake", file.stem, system)
    print(json.dumps({"status": answer.status_code, **answer.json()}, indent=2), flush=True)
    return str(answer.json()["request_id"]) if answer.ok else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get("LOCALCLOUD_URL", "http://127.0.0.1:8080")))
