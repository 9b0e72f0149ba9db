"""An answer goes to a host of the allow-list at a public address, or nowhere."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.notify.address import (
    BadLoopback,
    Refused,
    Resolver,
    is_public,
    loopback_places,
    resolved,
    target,
)
from shared.notify.sending import NotYet, Sender, Undeliverable

ALLOWED = ("tickets.example.com",)
GOOD = "https://tickets.example.com/hook"
URLS = [
    "http://tickets.example.com/hook",
    "https://evil.example/hook",
    "https://tickets.example.com.evil.example/",
    "https://evil.example/tickets.example.com",
    "https://evil.example?tickets.example.com",
    "https://evil.example#tickets.example.com",
    "https://user@tickets.example.com/",
    "https://tickets.example.com@evil.example/",
    "https://tickets.example.com:444/",
    "https://tickets.example.com:0443/",
    "https://tickets.example.com:/",
    "https://TICKETS.example.com/",
    "https://tickets.example.com./",
    "https://tіckets.example.com/",
    "https://tickets。example.com/",
    "https://tickets.example.com\\.evil.example/",
    "https://tickets.example.com/\r\nHost: evil.example",
    "https://tickets.example.com/ x",
    "https://tickets.example.com\t.evil.example/",
    " https://tickets.example.com/",
    "https://tickets.example.com/\x00",
    "https:/tickets.example.com/",
    "https:tickets.example.com",
    "//tickets.example.com/",
    "file:///etc/passwd",
    "gopher://tickets.example.com/",
    "https://",
    "",
]


@pytest.mark.parametrize("url", URLS, ids=ascii)
def test_a_url_that_another_parser_might_read_otherwise_is_refused(url):
    with pytest.raises(Refused):
        target(url, ALLOWED)
    assert target(GOOD, ALLOWED).host == "tickets.example.com"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "[::1]", "a"]
)
def test_an_address_is_no_host_even_where_it_is_allowed(host):
    """Whoever writes the allow-list cannot open this machine by it."""
    with pytest.raises(Refused):
        target(f"https://{host}/", [host])


PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 -- it is refused
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
]


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_of_the_public_network_is_refused(text):
    assert not is_public(ipaddress.ip_address(text))
    for found in ([text], ["93.184.215.14", text], [text, "93.184.215.14"]):
        resolver = Resolver(lookup=lambda *_, found=found: found)
        with pytest.raises(Refused):
            resolver.places(target(GOOD, ALLOWED))


@pytest.mark.parametrize("text", ["93.184.215.14", "8.8.8.8", "2606:4700:4700::1111"])
def test_an_address_of_the_public_network_is_not(text):
    assert is_public(ipaddress.ip_address(text))


class Listening:
    """A server on this machine that must never be told anything."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.heard = threading.Event()

    def __enter__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(self.seconds)
        self.port = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()
        return self

    def listen(self):
        try:
            connection, _ = self.server.accept()
        except TimeoutError:
            return
        self.heard.set()
        connection.close()

    def __exit__(self, *_):
        self.thread.join()
        self.server.close()


def test_a_name_that_points_at_this_machine_is_not_connected_to():
    with Listening(0.2) as server:
        host = f"tickets.example.com:{server.port}"
        sender = Sender(Resolver(lookup=lambda *_: ["127.0.0.1"]), ssl.create_default_context())
        with pytest.raises(Undeliverable):
            sender.send("POST", f"https://{host}/x", [host], b"{}", {})
        server.thread.join()
        assert not server.heard.is_set()


def test_a_name_is_looked_up_once_so_that_it_cannot_change_its_mind():
    """The first answer is public and the second this machine: there is no second question."""
    asked = []

    def lookup(*_):
        asked.append(1)
        return ["192.0.2.1"] if len(asked) > 1 else ["93.184.215.14"]

    (place,) = Resolver(lookup=lookup).places(target(GOOD, ALLOWED))
    assert place.address == "93.184.215.14"
    assert asked == [1]


def certificate(folder, name):
    """A key and a certificate for `name` that nobody but itself has signed; gives their file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(pem, form, plain) + made.public_bytes(pem))
    return file


class Stranger(Listening):
    """Answers by TLS, and keeps what it is told."""

    def __init__(self, file):
        super().__init__(5)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(file)
        self.told = b""

    def listen(self):
        connection, _ = self.server.accept()
        connection.settimeout(5)
        with suppress(OSError), self.context.wrap_socket(connection, server_side=True) as tls:
            while b"canary" not in self.told and (more := tls.recv(65536)):
                self.told += more
            tls.sendall(b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\n\r\n")
        connection.close()


@pytest.mark.parametrize(
    ("name", "believed", "is_told"),
    [
        ("tickets.example.com", True, True),
        ("tickets.example.com", False, False),
        ("evil.example", True, False),
    ],
)
def test_a_host_that_cannot_be_believed_gets_nothing(tmp_path, name, believed, is_told):
    """A certificate of another name, or that nobody has signed: no byte of the answer goes out.

    Who has the right one is told, and its redirect is not followed.
    """
    file = certificate(tmp_path, name)
    with Stranger(file) as server:
        host = f"tickets.example.com:{server.port}"
        places = loopback_places({host: f"127.0.0.1:{server.port}"})
        context = ssl.create_default_context(cafile=str(file) if believed else None)
        with pytest.raises((NotYet, Undeliverable)) as undelivered:
            Sender(Resolver(places), context).send(
                "POST", f"https://{host}/secret-path", [host], b"canary", {}
            )
        assert "secret-path" not in str(undelivered.value)
        server.thread.join()
        assert (b"canary" in server.told) is is_told
        assert ("redirect" in str(undelivered.value)) is is_told


@pytest.mark.parametrize(
    "at", ["10.0.0.1:443", "example.com:443", "127.0.0.1", "127.0.0.1:0", "0.0.0.0:1", "::1:x", ""]
)
def test_the_override_for_tests_reaches_this_machine_alone(at):
    with pytest.raises(BadLoopback):
        loopback_places({"tickets.example.com": at})


def test_the_systems_resolver_finds_this_machine_where_it_is_asked_to():
    """What stands behind the lookup is the real one: it would find what is to be refused."""
    assert set(resolved("localhost", 443)) & {"127.0.0.1", "::1"}
