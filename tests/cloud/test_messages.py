"""MNS by its SDK: whole under threads, and never waiting for a server that has stopped."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from localcloud import worldfile
from localcloud.behaviour import Fault
from localcloud.server import LocalCloud
from shared.cloud.credentials import Credentials
from shared.cloud.errors import OutcomeUnknown, Refused
from shared.cloud.messages import Messages

ROOT = Path(__file__).parents[2]
ACCOUNT_A = "1000200030004000"
TICKETING = Credentials("LTAI-demo-ticketing", SecretStr("demo-ticketing-secret"), SecretStr(""))


@pytest.fixture(scope="module")
def local():
    with LocalCloud(worldfile.load(ROOT / "demo" / "world.yaml")) as running:
        yield running


@pytest.fixture
def messages(local):
    made = Messages(local.url, lambda: TICKETING, timeout_seconds=5.0)
    yield made
    made.close()


def test_eight_threads_send_fifty_each_and_every_message_arrives_once(local, messages):
    def send(thread):
        return [
            messages.send("ecr-requests", json.dumps({"from": thread, "number": number}))
            for number in range(50)
        ]

    with ThreadPoolExecutor(8) as pool:
        ids = [one for sent in pool.map(send, range(8)) for one in sent]
    arrived = local.cloud.mns.queue(ACCOUNT_A, "ecr-requests").peek(1000)
    assert len(set(ids)) == 400
    assert {message.body for message in arrived} == {
        json.dumps({"from": thread, "number": number}).encode()
        for thread in range(8)
        for number in range(50)
    }


def test_a_message_is_received_as_it_was_sent_and_gone_once_deleted(local, messages):
    local.cloud.mns.send(ACCOUNT_A, "ticketing-results", '{"über":"<&>"}'.encode())
    (received,) = messages.receive("ticketing-results")
    assert received.body == '{"über":"<&>"}'
    messages.delete("ticketing-results", received.receipt)
    assert messages.receive("ticketing-results") == []


class _OneAnswerEach(BaseHTTPRequestHandler):
    """Promises to keep the connection, answers once, and drops it: an instance that was frozen."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = b"<Message><MessageId>A</MessageId><MessageBodyMD5>B</MessageBodyMD5></Message>"
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = True

    def log_message(self, *_):
        pass


def test_a_connection_that_went_stale_is_opened_again():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _OneAnswerEach)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    messages = Messages(f"http://127.0.0.1:{server.server_port}", lambda: TICKETING, 2.0)
    try:
        sent = [messages.send("ecr-requests", "{}") for _ in range(3)]
    finally:
        messages.close()
        server.shutdown()
        server.server_close()
        thread.join()
    assert sent == ["A", "A", "A"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_one_cut_is_made_good_and_many_are_an_unknown_outcome(local, messages, when):
    cut = Fault(product="mns", action="SendMessage", kind="cut", when=when)
    local.cloud.behaviour.order(cut)
    assert messages.send("ecr-requests", "{}")
    local.cloud.behaviour.order(cut.model_copy(update={"times": -1}))
    with pytest.raises(OutcomeUnknown):
        messages.send("ecr-requests", "{}")
    local.cloud.behaviour.clear()


def test_what_ram_forbids_is_refused_and_its_text_names_no_secret(messages):
    with pytest.raises(Refused) as refused:
        messages.publish("ecr-results", "{}", "granted")
    assert refused.value.cloud_code == "AccessDenied"
    assert "demo-ticketing-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("send", ("ecr-requests", "x" * 65_537)),
        ("send", ("ecr-requests", "{}", -1)),
        ("send", ("ecr-requests", "{}", 604_801)),
        ("publish", ("ecr-results", "{}", "")),
        ("publish", ("ecr-results", "{}", "x" * 17)),
    ],
)
def test_what_mns_cannot_take_is_not_sent(messages, call, arguments):
    with pytest.raises(ValueError, match="seconds|bytes|characters"):
        getattr(messages, call)(*arguments)


# A server that stops answering -------------------------------------------------------------------


@contextmanager
def silent(context=None):
    """A server that takes connections (and the TLS handshake, given a context), then says nothing.

    It ends when the block does.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
                connection.settimeout(10)
                held.append(
                    context.wrap_socket(connection, server_side=True) if context else connection
                )
            except OSError:
                return

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in held:
            connection.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def takes(url):
    """How long a send takes that gets no answer."""
    messages = Messages(url, lambda: TICKETING, timeout_seconds=0.4)
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        messages.send("ecr-requests", "{}")
    return time.monotonic() - started


def test_a_server_that_never_answers_is_given_up():
    with silent() as port:
        assert 0.3 < takes(f"http://127.0.0.1:{port}") < 5


def test_a_server_that_never_shakes_hands_is_given_up():
    with silent() as port:
        assert 0.3 < takes(f"https://127.0.0.1:{port}") < 5


def test_a_tls_server_that_never_answers_is_given_up(monkeypatch, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with silent(context) as port:
        assert 0.3 < takes(f"https://127.0.0.1:{port}") < 5


def test_a_tls_server_that_nobody_vouches_for_is_sent_nothing(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with silent(context) as port, pytest.raises(OutcomeUnknown):
        Messages(f"https://127.0.0.1:{port}", lambda: TICKETING, 2.0).send("ecr-requests", "{}")


def test_threads_do_not_wait_for_one_another():
    """The SDK under one lock would take the sum of their time-outs."""
    with silent() as port:
        messages = Messages(f"http://127.0.0.1:{port}", lambda: TICKETING, timeout_seconds=0.5)

        def send(_):
            with pytest.raises(OutcomeUnknown):
                messages.send("ecr-requests", "{}")

        started = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(8)))
        assert time.monotonic() - started < 8 * 0.5
