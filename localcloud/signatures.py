"""The three signatures of Alibaba Cloud's protocols, computed anew and compared. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote

from localcloud.call import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACS3: Final = re.compile(
    r"ACS3-HMAC-SHA256 Credential=(?P<key>[^,]+),\s*SignedHeaders=(?P<headers>[^,]+),"
    r"\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Signed:
    """A request as its signature saw it; header names are lower-case.

    Args:
        method: `POST`.
        path: The path, still percent-encoded.
        query: The query string, still percent-encoded, without `?`.
        headers: All headers.
        body: The raw body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def acs3_key(request: Signed) -> str:
    """The access key id that signed an ACS3 request. Raises CloudError where there is none."""
    return _acs3_parts(request)["key"]


def verify_acs3(request: Signed, secret: str) -> None:
    """Do nothing where the request is signed by `secret` (ACS3-HMAC-SHA256).

    Raises:
        CloudError: It is not, or it leaves out what must be signed.
    """
    parts = _acs3_parts(request)
    names = parts["headers"].split(";")
    must = {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"}
    must |= {"x-acs-security-token"} if "x-acs-security-token" in request.headers else set()
    must.add("x-acs-content-sha256")
    missing = {name for name in must & request.headers.keys() if name not in names}
    if missing or names != sorted(names):
        raise CloudError(400, "IncompleteSignature", "A header that must be signed is not.")
    body_hash = hashlib.sha256(request.body).hexdigest()
    stated = request.headers.get("x-acs-content-sha256", "")
    if not hmac.compare_digest(stated.encode(), body_hash.encode()):
        raise CloudError(400, "InvalidContentSha256", "The body is not the one that was signed.")
    canonical = "\n".join(
        (
            request.method,
            request.path or "/",
            _sorted_query(request.query),
            *(f"{name}:{request.headers.get(name, '').strip()}" for name in names),
            "",
            ";".join(names),
            body_hash,
        )
    )
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    expected = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    _compare(expected, parts["signature"])


def mns_key(request: Signed) -> str:
    """The access key id that signed an MNS request."""
    return _scheme_key(request, "MNS")


def verify_mns(request: Signed, secret: str) -> None:
    """Do nothing where the request is signed by `secret` (MNS, HMAC-SHA1).

    Raises:
        CloudError: It is not.
    """
    stated = request.headers.get("content-md5", "")
    if request.body and stated:
        digest = hashlib.md5(request.body).hexdigest()  # noqa: S324 -- the protocol's own
        if stated not in (_encoded(digest.encode()), _encoded(bytes.fromhex(digest))):
            raise CloudError(400, "InvalidDegist", "The body does not fit its digest.")
    to_sign = "\n".join(
        (
            request.method,
            stated,
            request.headers.get("content-type", ""),
            request.headers.get("date", ""),
            *_prefixed(request, "x-mns-"),
            request.path + (f"?{request.query}" if request.query else ""),
        )
    )
    expected = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha1).digest()
    _compare(_encoded(expected), _scheme_signature(request))


def fc2_key(request: Signed) -> str:
    """The access key id that signed a request to FC 2016-08-15."""
    return _scheme_key(request, "FC")


def verify_fc2(request: Signed, secret: str) -> None:
    """Do nothing where the request is signed by `secret` (FC 2016-08-15, HMAC-SHA256).

    Raises:
        CloudError: It is not.
    """
    to_sign = "\n".join(
        (
            request.method,
            request.headers.get("content-md5", ""),
            request.headers.get("content-type", ""),
            request.headers.get("date", ""),
            *_prefixed(request, "x-fc-"),
            request.path,
        )
    )
    expected = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).digest()
    _compare(_encoded(expected), _scheme_signature(request))


def _acs3_parts(request: Signed) -> dict[str, str]:
    found = _ACS3.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        raise CloudError(400, "IncompleteSignature", "The request bears no ACS3 signature.")
    return found.groupdict()


def _scheme_key(request: Signed, scheme: str) -> str:
    given = request.headers.get("authorization", "")
    if not given.startswith(f"{scheme} ") or ":" not in given:
        raise CloudError(400, "MissingAuthorizationHeader", "The request is not signed.")
    return given[len(scheme) + 1 :].split(":", 1)[0]


def _scheme_signature(request: Signed) -> str:
    return request.headers.get("authorization", ":").split(":", 1)[1]


def _prefixed(request: Signed, prefix: str) -> list[str]:
    names = sorted(name for name in request.headers if name.startswith(prefix))
    return [f"{name}:{request.headers[name]}" for name in names]


def _sorted_query(query: str) -> str:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _compare(expected: str, given: str) -> None:
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise CloudError(
            403, "SignatureDoesNotMatch", "The request's signature does not conform to its content."
        )
