"""Asks for a list, part by part: each as a request on the request queue; one path, one audit.

part ── asked for ── cursor noted ── part ── …
          │             └ the next invocation goes on with the next part
          └ a crash here asks for this part again: the same request ids, so it is done once
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from shared.cleanup.notes import each_part
from shared.contract import AuthorizationId, Wake, read_request
from shared.ids import own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from shared.audit import Trail
    from shared.cleanup.notes import CleanupRun, Part
    from shared.inbox import Send
    from shared.ledger import Ledger
    from shared.registry import Registry

_ATTACH_LATER_SECONDS: Final = 30
MOST_LOOKS: Final = 500
"""In one run; the next one goes on where it stopped, and then from the start again."""
_TOO_OLD: Final = timedelta(days=1)


class Frozen(Exception):
    """A freeze has begun: nothing more is asked for."""


@dataclass(frozen=True)
class Asking:
    """Asks for what a run has found.

    Args:
        ledger: Where its list is noted.
        registry: Freezes and exemptions, as they are now.
        trail: Is told of everything that is asked for.
        send: Puts a message on a queue.
        requests: The request queue's name.
        attachments: The attachment queue's name.
        now: The clock, UTC.
    """

    ledger: Ledger
    registry: Registry
    trail: Trail
    send: Send
    requests: str
    attachments: str
    now: Callable[[], datetime]

    def parts(self, run: CleanupRun, start: int) -> Iterator[Part]:
        """The parts of a run's list, from one on. Raises UnreadableNote, as they are read."""
        return each_part(self.ledger, run, run.digest or "", start)

    def ask(self, run: CleanupRun, part: Part) -> int:
        """Every request of the part that is due and free is on the queue; gives how many.

        Raises:
            Frozen: Not all of them are.
        """
        asked = 0
        for request in part.requests:
            now = self.now()
            if self.registry.frozen(now) is not None:
                raise Frozen
            if self._is_free(request, run, now):
                mine = own(self.ledger, read_request(request))
                key = mine.authorization.key
                self.trail.note(key, "asked", run=run.id, request=mine.request_id)
                self.send(self.requests, mine.model_dump_json(exclude_none=True))
                asked += 1
        return asked

    def look(self, run: CleanupRun, part: Part) -> list[str]:
        """Those of the part whose turn it is are looked at anew in both accounts; gives which."""
        mine = (key for key in part.looks if key > run.looked_to)
        looked = list(islice(mine, max(0, MOST_LOOKS - run.looked)))
        for key in looked:
            of = AuthorizationId.of_key(key)
            self.trail.note(key, "looked at again", run=run.id)
            self.send(self.requests, Wake(wake=of, look=True).body())
            # Account A's turn comes when account B's side is known: a lease lives.
            self.send(self.attachments, Wake(wake=of).body(), _ATTACH_LATER_SECONDS)
        return looked

    def _is_free(self, request: dict[str, Any], run: CleanupRun, now: datetime) -> bool:
        """What was exempted since it was found is left; so is an adoption of what may be gone."""
        if self.registry.exemption(_of(request), request.get("lease"), now) is not None:
            return False
        return request["action"] != "grant" or now - run.started_at <= _TOO_OLD


def _of(request: dict[str, Any]) -> AuthorizationId:
    return AuthorizationId(**{name: request[name] for name in AuthorizationId.model_fields})
