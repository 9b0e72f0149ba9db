"""FC's own APIs: invoke by 2023-03-30 (functions), and by 2016-08-15 (services of FC 2.0)."""

from __future__ import annotations

import base64
import json
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from werkzeug.wrappers import Response

from localcloud import ram, signatures
from localcloud.acs import denied
from localcloud.call import Caller, CloudError
from localcloud.incoming import SKEW_SECONDS, base_context, request_id, signed

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from localcloud.acs import Acs
    from localcloud.cloud import Cloud
    from localcloud.fc import Fc

_NOW: Final = re.compile(r"/2023-03-30/functions/(?P<function>[^/]+)/invocations")
_LEGACY: Final = re.compile(
    r"/2016-08-15/services/(?P<service>[^/]+)/functions/(?P<function>[^/]+)/invocations"
)
_TASK_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")


class FcWire:
    """InvokeFunction, for today's SDK and for the older one."""

    def __init__(self, cloud: Cloud, fc: Fc, acs: Acs) -> None:
        self._cloud = cloud
        self._fc = fc
        self._acs = acs

    def names(self, request: Request) -> tuple[str, str]:
        """The product and the action that a request is for."""
        known = _NOW.fullmatch(request.path) or _LEGACY.fullmatch(request.path)
        return "fc", "InvokeFunction" if known and request.method == "POST" else "Unknown"

    def key(self, request: Request) -> str | None:
        """The access key id that a request claims, not verified."""
        try:
            raw = signed(request)
            legacy = request.path.startswith("/2016-08-15/")
            return signatures.fc2_key(raw) if legacy else signatures.acs3_key(raw)
        except CloudError:
            return None

    def error(self, request: Request, error: CloudError) -> Response:
        """The error as each version answers it."""
        if request.path.startswith("/2016-08-15/"):
            body = {"ErrorCode": error.code, "ErrorMessage": error.message}
        else:
            body = {"RequestId": request_id(), "Code": error.code, "Message": error.message}
        headers = {**error.headers, "X-Fc-Request-Id": request_id()}
        return Response(json.dumps(body), error.status, headers, content_type="application/json")

    def answer(self, request: Request) -> tuple[Response, Caller | None, str | None]:
        """The answer, who asked (once that is known), and the error's code."""
        caller: Caller | None = None
        try:
            with self._cloud.lock:
                caller, name = self._asked(request)
                self._authorize(caller, name)
            return self._invoke(request, name), caller, None
        except CloudError as error:
            return self.error(request, error), caller, error.code

    def _asked(self, request: Request) -> tuple[Caller, str]:
        legacy = _LEGACY.fullmatch(request.path)
        if legacy is not None:
            caller = self._legacy_caller(request)
            services = self._fc.settings.legacy_services
            target = services.get(legacy["service"], {}).get(legacy["function"])
            if target is None:
                raise CloudError(
                    404, "ServiceNotFound", f"service {legacy['service']} does not exist"
                )
            return caller, target
        caller = self._acs.authenticate(request)
        found = _NOW.fullmatch(request.path)
        if found is None or request.method != "POST":
            raise CloudError(404, "PathNotSupported", "There is no such operation here.")
        return caller, found["function"]

    def _legacy_caller(self, request: Request) -> Caller:
        raw = signed(request)
        caller, secret = self._cloud.identity.caller(
            signatures.fc2_key(raw), request.headers.get("x-fc-security-token")
        )
        signatures.verify_fc2(raw, secret)
        try:
            stamped = parsedate_to_datetime(request.headers.get("date", "")).timestamp()
        except (TypeError, ValueError):
            raise CloudError(400, "InvalidArgument", "The date header is wrongly formed.") from None
        if abs(stamped - self._cloud.signing_time()) > SKEW_SECONDS:
            raise CloudError(403, "AccessDenied", "The date is more than 15 minutes off.")
        return caller

    def _authorize(self, caller: Caller, name: str) -> None:
        props = self._fc.props(name)
        owner = self._fc.settings.account_uid
        resource = f"acs:fc:{props.region}:{owner}:functions/{name}"
        context = base_context(caller, self._cloud.clock.now())
        own = caller.account_uid == owner
        if not own or not ram.allowed(caller, "fc:InvokeFunction", resource, context):
            raise denied(caller, "fc:InvokeFunction")

    def _invoke(self, request: Request, name: str) -> Response:
        event = request.get_data()
        asked = request_id()
        headers = {"X-Fc-Request-Id": asked}
        if request.headers.get("x-fc-invocation-type", "Sync").lower() == "async":
            task = request.headers.get("x-fc-async-task-id")
            if task is not None and not _TASK_ID.fullmatch(task):
                raise CloudError(400, "InvalidArgument", "The task id is wrongly formed.")
            first = task is None or self._fc.first_of(name, task)
            if first and not self._fc.invoke_async(name, event):
                raise CloudError(413, "PayloadTooLarge", "an async event holds 128 KB at most")
            return Response(b"", 202, headers)
        before = len(self._fc.logs(name))
        outcome = self._fc.invoke(name, event, asked_as=asked)
        if outcome.error_type is not None:
            headers["X-Fc-Error-Type"] = outcome.error_type
        if request.headers.get("x-fc-log-type", "").lower() == "tail":
            tail = "\n".join(self._fc.logs(name)[before:])[-4096:]
            headers["X-Fc-Log-Result"] = base64.b64encode(tail.encode()).decode()
        return Response(outcome.body, 200, headers, content_type="application/octet-stream")
