"""An identity provider for this machine: pick a person, and the console's cookie is set.

It is the demo's alone. It makes a key of its own at every start, and listens on loopback; the
console knows it by three settings, as it would know a real one.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

if TYPE_CHECKING:
    from typing_extensions import Self

COOKIE = "ecr_console"
ISSUER = "https://sign-in.demo.invalid"
AUDIENCE = "ecr-console"
SECONDS = 8 * 3600


@dataclass(frozen=True)
class Somebody:
    """A person of the demo."""

    name: str
    roles: tuple[str, ...]
    may: str


PEOPLE = {
    "operator": Somebody("operator@example.com", ("ecr-operator",), "sees all, renews, revokes"),
    "viewer": Somebody("viewer@example.com", ("ecr-viewer",), "sees all"),
    "payments": Somebody("payments@example.com", ("payments-viewer",), "sees one account"),
    "stranger": Somebody("stranger@example.com", ("somebody-else",), "has no role"),
}


class SignIn:
    """Signs people in; a context manager while it listens.

    Args:
        console: Where the console is reached, without `/console`.
        port: On 127.0.0.1; 0 takes a free one.
    """

    def __init__(self, console: str, port: int = 0) -> None:
        self.console = console
        self.key = ECKey.generate_key("P-256", {"kid": "demo", "use": "sig"})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """What intake is told, so that it takes this one's word."""
        told = {
            "url": self.console,
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "keys": {"keys": [self.key.as_dict(private=False)]},
            "algorithm": "ES256",
            "token": f"cookie:{COOKIE}",
            "sign_in_url": f"{self.url}/",
        }
        return {"CONSOLE": json.dumps(told), "CONSOLE_SECRET": secrets.token_urlsafe(32)}

    def token(self, who: str, **changes: object) -> str:
        """A token for one of PEOPLE, with claims changed so."""
        somebody, now = PEOPLE[who], int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"demo-{who}",
            "email": somebody.name,
            "roles": list(somebody.roles),
            "iat": now,
            "exp": now + SECONDS,
        }
        given = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": "demo"}, given, self.key, algorithms=["ES256"])


def _handler(desk: SignIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Two pages: who is there, and on to the console as one of them."""

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            who = dict(parse_qsl(asked.query)).get("as", "")
            if asked.path == "/" and who in PEOPLE:
                self.send_response(303)
                cookie = f"{COOKIE}={desk.token(who)}; Path=/; HttpOnly; SameSite=Lax"
                self.send_header("Set-Cookie", cookie)
                self.send_header("Location", f"{desk.console}/console")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            page = _page().encode()
            self.send_response(200 if asked.path == "/" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Nothing is printed for each request."""

    return Handler


def _page() -> str:
    rows = "".join(
        f'<li><a href="/?as={key}">{escape(one.name)}</a> ({escape(one.may)})</li>'
        for key, one in PEOPLE.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in (demo)</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        'content="light dark"><link rel="icon" href="data:,"><body><h1>Who are you?</h1>'
        f"<p>People of the demo, on this machine alone.</p><ul>{rows}</ul></body></html>"
    )
