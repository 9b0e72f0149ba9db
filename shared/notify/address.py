"""Where an answer may be sent: a host of the allow-list, at an address of the public network.

The name is resolved once, every address that it has must be allowed, and the connection goes to one
of these addresses: a name that changes its mind in between changes nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HTTPS_PORT: Final = 443
_URL: Final = re.compile(
    r"https://(?P<host>[a-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?(?P<path>/[!$-;=?-Z_a-z~]*)?",
    re.ASCII,
)
# Two labels at least, and the last one is no number: no decimal, octal or hexadecimal address is
# one, neither is `localhost`.
_NAME: Final = re.compile(
    r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII
)
# Networks that hold an IPv4 address, which need not be a public one, and what is_global lets pass.
_REFUSED: Final = tuple(
    ipaddress.ip_network(one)
    for one in (
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/23",
        "2002::/16",
        "fec0::/10",
        "100.64.0.0/10",  # 100.100.100.200 is the metadata of an instance
        "192.0.0.0/24",
        "192.88.99.0/24",
    )
)


class Refused(Exception):
    """An address or a URL that no answer is ever sent to."""


class Unresolved(Exception):
    """A name that has no address at present."""


class Target(NamedTuple):
    """A URL taken apart."""

    host: str
    port: int
    path: str

    @property
    def named(self) -> str:
        """The host, with its port where that is not the usual one; as allow-lists have it."""
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"


class Place(NamedTuple):
    """Where a connection goes."""

    address: str
    port: int


def target(url: str, allowed: Collection[str]) -> Target:
    """The URL taken apart.

    Args:
        url: Where an answer is to go.
        allowed: The hosts that it may go to, each with its port where that is not 443.

    Raises:
        Refused: It is no plain https URL, or its host is not one of them. Says no more of it than
            the host: the rest may be a secret.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise Refused("the URL is no https URL without user and fragment")
    made = Target(found["host"], int(found["port"] or HTTPS_PORT), found["path"] or "/")
    if _NAME.fullmatch(made.host) is None:
        raise Refused("the URL's host is no name of the public network")
    if made.named not in {_without_usual_port(one) for one in allowed}:
        raise Refused(f"{made.named} is not a host that may be written to")
    return made


def is_public(address: Address) -> bool:
    """The address is one of the public network, and holds no other address in it. Pure."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if address.is_unspecified or address.is_loopback or address.is_link_local or address.is_private:
        return False
    return not any(address.version == one.version and address in one for one in _REFUSED)


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name, by the system's resolver. Raises Unresolved."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unresolved(f"{host} has no address") from None
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True)
class Resolver:
    """Finds where a host is, and refuses what is not on the public network.

    Args:
        loopback: For tests and the demo alone (`CALLBACK_LOOPBACK_HOSTS`): hosts that are at a port
            of this machine instead.
        lookup: Gives the addresses of a name.
    """

    loopback: Mapping[str, Place] = field(default_factory=dict)
    lookup: Callable[[str, int], list[str]] = resolved

    def places(self, at: Target) -> list[Place]:
        """Where the host is, IPv4 first: Function Compute need not have IPv6.

        Raises:
            Refused: One of its addresses is none of the public network.
            Unresolved: It has none.
        """
        if at.named in self.loopback:
            return [self.loopback[at.named]]
        texts = self.lookup(at.host, at.port)
        try:
            found = [ipaddress.ip_address(one) for one in texts]
        except ValueError:
            raise Refused(f"{at.host} has an address that cannot be read") from None
        if not all(is_public(one) for one in found):
            raise Refused(f"{at.host} has an address that is not of the public network")
        if not found:
            raise Unresolved(f"{at.host} has no address")
        ordered = sorted(found, key=lambda one: one.version)
        return [Place(str(one), at.port) for one in ordered]


class BadLoopback(ValueError):
    """CALLBACK_LOOPBACK_HOSTS names an address that is none of this machine."""


def loopback_places(given: Mapping[str, str]) -> dict[str, Place]:
    """The override, checked: `{"tickets.example": "127.0.0.1:8443"}`.

    Raises:
        BadLoopback: An address is not loopback, or lacks its port.
    """
    return {host: _loopback(text) for host, text in given.items()}


def _loopback(text: str) -> Place:
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port) if port.isascii() and port.isdigit() else 0
    except ValueError:
        raise BadLoopback("CALLBACK_LOOPBACK_HOSTS takes 127.0.0.1:PORT and nothing else") from None
    if not address.is_loopback or not 0 < number < 65536:  # noqa: PLR2004 -- ports
        raise BadLoopback("CALLBACK_LOOPBACK_HOSTS takes 127.0.0.1:PORT and nothing else")
    return Place(str(address), number)


def _without_usual_port(host: str) -> str:
    return host.removesuffix(f":{HTTPS_PORT}")
