"""Where each service is reached: a fixed table, which the operator may override.

An override comes from the environment (`ALIBABA_CLOUD_ENDPOINT_STS=http://127.0.0.1:8080`), never
from a message. Plain http is refused unless the address is loopback.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

Service = Literal["EXPRESSCONNECTROUTER", "VPC", "STS", "MNS", "FC", "FC2"]

_TABLE: Final[dict[Service, str]] = {
    # One endpoint serves every region; the SDK would build a regional one that may not exist.
    "EXPRESSCONNECTROUTER": "https://expressconnectrouter.cn-shanghai.aliyuncs.com",
    "STS": "https://sts.{region}.aliyuncs.com",
    "MNS": "https://{account}.mns.{region}.aliyuncs.com",
    "FC": "https://fcv3.{region}.aliyuncs.com",
    "FC2": "https://{account}.{region}.fc.aliyuncs.com",
    # VPC is left to its SDK, which knows the regions that the central endpoint serves.
    "VPC": "",
}


_ENDPOINT: Final = re.compile(
    r"https?://([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?/?",
    re.IGNORECASE | re.ASCII,
)
"""A scheme, a host, a port: no user, path or query that another parser might read otherwise."""


class BadEndpoint(ValueError):
    """An endpoint override that must not be used."""


def endpoint(service: Service, environ: Mapping[str, str], *, region: str, account: str) -> str:
    """The URL of `service`, or "" where the SDK's own table is to be used.

    Raises:
        BadEndpoint: The override is not a URL, or is plain http to an address that is not loopback.
    """
    override = environ.get(f"ALIBABA_CLOUD_ENDPOINT_{service}", "")
    if override:
        return checked(override)
    return _TABLE[service].format(region=region, account=account)


def checked(url: str) -> str:
    """`url` itself, where it may be used.

    Raises:
        BadEndpoint: It may not.
    """
    if not _ENDPOINT.fullmatch(url):
        # Not the URL itself: it may hold a password.
        raise BadEndpoint("an ALIBABA_CLOUD_ENDPOINT_… is no endpoint: give https://HOST[:PORT]")
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise BadEndpoint(f"{parts.hostname} by plain http: only loopback addresses may be")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
