"""The ticketing system's desk: `python -m demo.desk FILE…` posts requests and shows the results.

It is what any MNS client would do: send to one queue, receive from another.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mns.account import Account
from mns.mns_exception import MNSServerException
from mns.queue import Message

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
    """Post the requests in `files`, then print each result until none has come for a while."""
    if not files:
        print("usage: python -m demo.desk events/requests/NAME.json …", file=sys.stderr)
        return 2
    desk = Desk(url)
    for file in files:
        desk.post(json.loads(Path(file).read_text()))
    waiting = [json.loads(Path(file).read_text()).get("request_id") for file in files]
    quiet_since = time.monotonic()
    while waiting and time.monotonic() - quiet_since < WAIT_SECONDS:
        for event in desk.results(wait_seconds=1):
            print(json.dumps(event["data"], indent=2), flush=True)
            quiet_since = time.monotonic()
            if event["data"]["final"] and event["data"]["request_id"] in waiting:
                waiting.remove(event["data"]["request_id"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get("LOCALCLOUD_URL", "http://127.0.0.1:8080")))
