"""Intake as a client sees it: what is posted is signed, who reads bears a token."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from ecrauth.exits import Exit, Failed, Unreached
from ecrauth.reach import now

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ecrauth.settings import Settings

_TRIES: Final = 3
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 30.0
_LARGEST: Final = 4 * 1024 * 1024
_NOT_FOUND: Final = 404
_PATH: Final = re.compile(r"(/[A-Za-z0-9_-]+)*/?")
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class Door:
    """Intake behind `ECRAUTH_URL`. Raises Failed where that is no URL to be used.

    Args:
        settings: Where it is, and what opens it.
    """

    def __init__(self, settings: Settings) -> None:
        import urllib3

        self._settings = settings
        self._url = _checked(settings.need("ECRAUTH_URL"))
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False)

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """The answer to a signed message; the same message is sent again where none came.

        Raises:
            Failed: It was refused, or has no answer.
        """
        message_id = f"msg_{uuid.uuid4().hex}"
        for last in (*[False] * (_TRIES - 1), True):
            try:
                return self._asked("POST", path, self._signed(message_id, body), body)
            except Unreached:
                if last:
                    raise
        raise AssertionError("unreachable")

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What is read with the token. Raises Failed; `code` is UNKNOWN where it is not there."""
        token = self._settings.need("ECRAUTH_TOKEN")
        asked = f"{path}?{urlencode(query)}" if query else path
        return self._asked("GET", asked, {"Authorization": f"Bearer {token}"}, None)

    def request(self, request_id: str) -> dict[str, Any]:
        """What became of a request."""
        return self.get(f"/requests/{quote(request_id, safe='')}")

    def authorizations(self, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Every authorization that fits, page by page."""
        cursor = ""
        while True:
            page = self.get("/authorizations", {**query, **({"cursor": cursor} if cursor else {})})
            yield from page["authorizations"]
            cursor = page.get("next") or ""
            if not cursor:
                return

    def _signed(self, message_id: str, body: bytes) -> dict[str, str]:
        from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

        at = now()
        try:
            signer = Webhook(self._settings.need("ECRAUTH_SECRET"))
            signature = signer.sign(message_id, at, body.decode())
        except (ValueError, RuntimeError, EmptyWebhookSecretError):
            raise Failed("ECRAUTH_SECRET is no webhook secret", "it looks like whsec_…") from None
        return {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }

    def _asked(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> dict[str, Any]:
        import urllib3

        try:
            answer = self._pool.request(
                method, self._url + path, headers=headers, body=body, redirect=False,
                preload_content=False,
            )  # fmt: skip
            raw = answer.read(_LARGEST + 1)
        except urllib3.exceptions.HTTPError as error:
            host = urlsplit(self._url).netloc
            what = f"intake does not answer at {host} ({type(error).__name__})"
            raise Unreached(what, "is ECRAUTH_URL right, and is it reached from here?") from None
        if answer.status >= 300:  # noqa: PLR2004 -- a redirect is none of ours
            raise _refused(answer.status, raw)
        return _object(raw)


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) <= _LARGEST:
        try:
            document = json.loads(raw)
        except ValueError:
            document = None
        if isinstance(document, dict):
            return document
    raise Failed(
        "what answers is no intake", "ECRAUTH_URL is the function's own URL, without /requests"
    )


def _refused(status: int, raw: bytes) -> Failed:
    """The problem as intake tells it (RFC 9457), with its stable code and remedy."""
    try:
        problem = json.loads(raw)
        said = str(problem.get("detail") or problem.get("title") or problem.get("Message") or "")
        code = str(problem.get("code") or problem.get("Code") or "")
        remedy = str(problem.get("remedy") or "")
    except (ValueError, AttributeError):
        said = code = remedy = ""
    what = said.rstrip(".") or f"intake answers {status}"
    named = f"{what} ({code})" if code else what
    if status in _PASSING:
        return Unreached(named, remedy or "try again a little later")
    return Failed(named, remedy, Exit.UNKNOWN if status == _NOT_FOUND else Exit.ERROR)


def _checked(url: str) -> str:
    """The URL, where a secret may be sent to it: https, or loopback. A gateway's has a path."""
    from shared.cloud.endpoints import BadEndpoint, checked

    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    try:
        if not _PATH.fullmatch(slash + path):
            raise BadEndpoint("not a path")
        return checked(f"{scheme}://{host}") + slash + path.rstrip("/")
    except BadEndpoint:
        what = "ECRAUTH_URL is not to be used"
        raise Failed(what, "give https://HOST; plain http only for 127.0.0.1") from None
