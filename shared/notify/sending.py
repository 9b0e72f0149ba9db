"""One answer over https, to a host of the allow-list, at an address that was looked at before.

Undelivered
├── Undeliverable   for good: the reason goes into the dead letter
└── NotYet          passing: who called comes again
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from shared.notify.address import Refused, Unresolved, target

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from shared.notify.address import Place, Resolver, Target

CONNECT_TIMEOUT_SECONDS: Final = 5.0
READ_TIMEOUT_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 20.0
MOST_ANSWER_BYTES: Final = 64 * 1024
MOST_BODY_BYTES: Final = 256 * 1024
_CHUNK: Final = 4096
_MOST_PLACES: Final = 3
_PASSING: Final = frozenset({408, 425, 429})


class Undelivered(Exception):
    """An answer was not taken. The text names the host at most: the URL may be a secret."""


class Undeliverable(Undelivered):
    """It never will be, as things are."""


class NotYet(Undelivered):
    """It may be later."""


@dataclass(frozen=True)
class Reply:
    """What the system said to an answer that it took."""

    status: int
    body: bytes


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Whom we believe to be who they say: the system's authorities, and those in `ca_file`.

    Raises:
        OSError: The file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


class Sender:
    """Sends answers.

    Args:
        resolver: Finds where hosts are.
        context: Whom it believes; `trust` makes it.
        longest_seconds: How long a reply is read at most.
    """

    def __init__(
        self,
        resolver: Resolver,
        context: ssl.SSLContext,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        self._resolver = resolver
        self._context = context
        self._longest = longest_seconds

    def send(
        self,
        method: str,
        url: str,
        allowed: Collection[str],
        body: bytes,
        headers: Mapping[str, str],
    ) -> Reply:
        """The system has taken the answer.

        Args:
            method: POST, PUT or PATCH.
            url: Where it goes; whole it is never logged.
            allowed: The hosts that it may go to.
            body: JSON.
            headers: The signature's.

        Raises:
            Undeliverable: The URL, its host or its address is refused, the body is too large, or
                the system has refused it.
            NotYet: There was no answer, or one that will pass.
        """
        if len(body) > MOST_BODY_BYTES:
            raise Undeliverable(f"the answer is larger than {MOST_BODY_BYTES} bytes")
        try:
            at = target(url, allowed)
            places = self._resolver.places(at)
        except Refused as refused:
            raise Undeliverable(str(refused)) from None
        except Unresolved as unresolved:
            raise NotYet(str(unresolved)) from None
        reply = self._to_one_of(places[:_MOST_PLACES], method, at, body, headers)
        _check_status(reply.status, at)
        return reply

    def _to_one_of(
        self,
        places: list[Place],
        method: str,
        at: Target,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Reply:
        """The next address is tried only where there was no connection: nothing was sent then."""
        for place in places:
            try:
                return self._to(place, method, at, body, headers)
            except (NewConnectionError, ConnectTimeoutError):
                continue
            except (HTTPError, OSError, ValueError) as error:
                # Not the error's own text: it holds the URL.
                raise NotYet(f"{at.named} did not answer ({type(error).__name__})") from None
        raise NotYet(f"{at.named} cannot be reached")

    def _to(
        self, place: Place, method: str, at: Target, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        """A pool takes no proxy from the environment, and this one follows nothing."""
        pool = urllib3.HTTPSConnectionPool(
            place.address,
            place.port,
            ssl_context=self._context,
            server_hostname=at.host,
            retries=False,
            maxsize=1,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
        )
        given = {
            **headers,
            "host": at.named,
            "content-type": "application/json; charset=utf-8",
            "user-agent": "ecr-authorization",
            "accept-encoding": "identity",
            "connection": "close",
        }
        with pool:
            until = time.monotonic() + self._longest
            response = pool.urlopen(
                method,
                at.path,
                body=body,
                headers=given,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                return Reply(response.status, _read(response, until))
            finally:
                response.close()


def _read(response: urllib3.BaseHTTPResponse, until: float) -> bytes:
    """As much of the reply as is looked at; one that goes on for ever is left."""
    read = b""
    while len(read) <= MOST_ANSWER_BYTES and time.monotonic() < until:
        chunk = response.read1(_CHUNK, decode_content=False)
        if not chunk:
            break
        read += chunk
    return read[:MOST_ANSWER_BYTES]


def _check_status(status: int, at: Target) -> None:
    if 200 <= status < 300:  # noqa: PLR2004 -- taken
        return
    if status in _PASSING or status >= 500:  # noqa: PLR2004 -- the server's fault
        raise NotYet(f"{at.named} answered {status}")
    if 300 <= status < 400:  # noqa: PLR2004 -- another place
        raise Undeliverable(f"{at.named} answered {status}: redirects are not followed")
    raise Undeliverable(f"{at.named} refused the answer with {status}")
