"""Invocations by both of the official SDKs: of functions (3.0) and of services' functions (2.0)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ecrauth.exits import Exit, Failed
from ecrauth.reach import reached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ecrauth.settings import Settings

_SECONDS = 600
"""As long as an invocation is waited for."""


@dataclass(frozen=True)
class Call:
    """What is invoked, and how."""

    function: str
    event: bytes
    qualifier: str | None = None
    is_async: bool = False
    tail: bool = False


@dataclass(frozen=True)
class Answer:
    """What came of it; `error_type` is set where the function failed."""

    body: bytes
    request_id: str
    error_type: str | None
    log: str


def today(settings: Settings, call: Call) -> Answer:
    """Invoke a function of Function Compute 3.0. Raises Failed."""
    from alibabacloud_fc20230330 import models
    from alibabacloud_fc20230330.client import Client
    from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
    from alibabacloud_tea_openapi.models import Config
    from darabonba.exceptions import DaraException
    from darabonba.runtime import RuntimeOptions

    key, secret, token = _key(settings)
    protocol, _, host = reached(settings, "FC").partition("://")
    config = Config(
        access_key_id=key,
        access_key_secret=secret,
        security_token=token or None,
        endpoint=host,
        protocol=protocol,
        region_id=settings.get("FC_REGION") or None,
    )
    request = models.InvokeFunctionRequest(body=BytesIO(call.event), qualifier=call.qualifier)
    headers = models.InvokeFunctionHeaders(
        x_fc_invocation_type="Async" if call.is_async else "Sync",
        x_fc_log_type="Tail" if call.tail else "None",
    )
    options = RuntimeOptions(read_timeout=_SECONDS * 1000, autoretry=False)
    try:
        client = Client(config)
        given = client.invoke_function_with_options(call.function, request, headers, options)
        body = given.body.read() if given.body is not None else b""
    except AlibabaCloudException as error:
        raise _refused(str(error.code), str(error.message)) from None
    except DaraException as error:
        raise _refused(type(error).__name__, "no answer from Function Compute") from None
    return _answer(body, given.headers)


def older(settings: Settings, service: str, call: Call) -> Answer:
    """Invoke a function of a service of Function Compute 2.0. Raises Failed."""
    import logging

    import fc2
    from fc2.fc_exceptions import FcError
    from requests import RequestException

    logging.getLogger().addHandler(logging.NullHandler())  # the SDK would print what it raises
    key, secret, token = _key(settings)
    client = fc2.Client(
        endpoint=reached(settings, "FC2"),
        accessKeyID=key,
        accessKeySecret=secret,
        securityToken=token,
        Timeout=_SECONDS,
    )
    headers = {"x-fc-invocation-type": "Async"} if call.is_async else {}
    headers |= {"x-fc-log-type": "Tail"} if call.tail else {}
    try:
        given = client.invoke_function(
            service, call.function, payload=call.event, headers=headers, qualifier=call.qualifier
        )
    except FcError as error:
        raise _refused(str(error.err_code) or "failed", str(error.message)) from None
    except RequestException as error:
        raise _refused(type(error).__name__, "no answer from Function Compute") from None
    data = given.data
    return _answer(data if isinstance(data, bytes) else str(data).encode(), given.headers)


def _key(settings: Settings) -> tuple[str, str, str]:
    return (
        settings.need("ALIBABA_CLOUD_ACCESS_KEY_ID"),
        settings.need("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        settings.get("ALIBABA_CLOUD_SECURITY_TOKEN"),
    )


def _answer(body: bytes, headers: Mapping[str, Any]) -> Answer:
    found = {str(name).lower(): str(value) for name, value in headers.items()}
    log = base64.b64decode(found.get("x-fc-log-result", "")).decode("utf-8", "replace")
    return Answer(body, found.get("x-fc-request-id", "-"), found.get("x-fc-error-type"), log)


def _refused(code: str, message: str) -> Failed:
    remedies = {
        "FunctionNotFound": "`s.yaml` names the functions; with --service those of FC 2.0",
        "ServiceNotFound": "without --service it is a function of FC 3.0",
    }
    remedy = remedies.get(code, "")
    return Failed(f"{code}: {message.rstrip('.')}", remedy, Exit.UNKNOWN if remedy else Exit.ERROR)
