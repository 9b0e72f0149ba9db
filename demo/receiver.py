"""A ticketing system's endpoint on this machine: it verifies signatures and keeps what it is told.

It listens on loopback with TLS, under an authority made for the occasion. The notify function is
led to it by two settings, `environment` of the receiver: where the hosts are, and whom to believe.
"""

from __future__ import annotations

import hmac
import json
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

TOLERANCE_SECONDS = 300


@dataclass(frozen=True)
class Told:
    """One answer that was taken."""

    host: str
    path: str
    event_id: str | None
    document: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What the endpoint says in place of taking the next answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0


class Receiver:
    """The endpoints of several systems, each a host name; a context manager while it listens.

    Args:
        folder: Where its certificates are put.
        secrets: By host, the secrets that its answers must be signed with; none: a chat, whose
            path is its secret.
        now: The clock by which a message is old; seconds since the epoch.
        certified: The names that the certificate bears, where they are to be others.
    """

    def __init__(
        self,
        folder: Path,
        secrets: Mapping[str, Sequence[str]],
        now: Callable[[], float] = time.time,
        certified: Sequence[str] | None = None,
    ) -> None:
        self.told: list[Told] = []
        self.refused: list[str] = []
        self.next_replies: deque[Reply] = deque()
        self._secrets = secrets
        self._now = now
        self._lock = threading.Lock()
        self._ca_file = folder / "authority.pem"
        chain = _certificates(folder, self._ca_file, certified or list(secrets))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        """The port of 127.0.0.1 that it listens on."""
        return int(self._server.server_address[1])

    @property
    def environment(self) -> dict[str, str]:
        """What the notify function needs to find it, and to believe it."""
        places = dict.fromkeys(self._secrets, f"127.0.0.1:{self.port}")
        return {
            "CALLBACK_LOOPBACK_HOSTS": json.dumps(places),
            "CALLBACK_CA_FILE": str(self._ca_file),
        }

    def take(self, host: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Take one answer, or refuse it."""
        with self._lock:
            if self.next_replies:
                return self.next_replies.popleft()
            wrong = self._wrong(host, headers, body)
            if wrong:
                self.refused.append(wrong)
                return Reply(401)
            self.told.append(Told(host, path, headers.get("webhook-id"), json.loads(body)))
        return Reply(200, {"content-type": "application/json"}, b'{"errcode": 0, "errmsg": "ok"}')

    def _wrong(self, host: str, headers: Mapping[str, str], body: bytes) -> str | None:
        if host not in self._secrets:
            return "another host was meant"
        secrets = self._secrets[host]
        if not secrets:
            return None
        message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not at.isdigit() or abs(int(at) - self._now()) > TOLERANCE_SECONDS:
            return "the message is too old, or of another time"
        moment = datetime.fromtimestamp(int(at), timezone.utc)
        given = headers.get("webhook-signature", "").split()
        for secret in secrets:
            right = Webhook(secret).sign(message_id, moment, body.decode())
            if any(hmac.compare_digest(right, one) for one in given):
                return None
        return "no signature is right"


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = receiver.take(headers.get("host", ""), self.path, headers, body)
            time.sleep(reply.seconds)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_POST = do_PUT = do_PATCH = do_GET = _take  # noqa: N815 -- the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's
            """Say nothing: who looks asks for `told`."""

    return Handler


def _certificates(folder: Path, ca_file: Path, hosts: Sequence[str]) -> Path:
    """An authority in `ca_file`, and a certificate of these names with its key, by it."""
    now = datetime.now(timezone.utc)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Receiver's authority")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())

    def made(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=7))
        )

    authority = (
        made(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(_usage(signs=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        made(x509.Name([]), key.public_key())
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in hosts]), critical=True
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    ca_file.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    chain = folder / "receiver.pem"
    chain.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    return chain


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
