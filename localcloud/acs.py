"""The RPC wire: a signed POST in, an operation's answer or the cloud's error out, as JSON."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from werkzeug.wrappers import Response

from localcloud import ram, signatures
from localcloud.call import Call, Caller, CloudError, Operation, Product
from localcloud.incoming import SKEW_SECONDS, base_context, request_id, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Request

    from localcloud.cloud import Cloud

_NONCES: Final = 200_000


class Acs:
    """STS, VPC and ECR on the wire."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._nonces: dict[str, float] = {}

    def names(self, request: Request) -> tuple[str, str]:
        """The product and the action that a request is for."""
        version = request.headers.get("x-acs-version", "")
        name, _ = self._cloud.products.get(version, ("unknown", None))
        return name, request.headers.get("x-acs-action", "")

    def key(self, request: Request) -> str | None:
        """The access key id that a request claims, not verified."""
        try:
            return signatures.acs3_key(signed(request))
        except CloudError:
            return None

    def error(self, request: Request, error: CloudError) -> Response:
        """The error as the product would answer it."""
        body = {
            "RequestId": request_id(),
            "HostId": request.host,
            "Code": error.code,
            "Message": error.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={error.code}",
            **error.extra,
        }
        return _json(error.status, body, error.headers)

    def answer(self, request: Request) -> tuple[Response, Caller | None, str | None]:
        """The answer, who asked (once that is known), and the error's code."""
        caller: Caller | None = None
        product: Product | None = None
        try:
            product = self._product(request)
            action = request.headers.get("x-acs-action", "")
            operation = product.operations.get(action)
            if operation is None:
                raise CloudError(
                    404, "InvalidAction.NotFound", "Specified api is not found in this product."
                )
            with self._cloud.lock:
                caller = self.authenticate(request)
                call = self._call(request, action, operation, caller)
                self._authorize(product, operation, call)
                self._cloud.quotas.count(caller.account_uid, action, operation, call.now)
        except CloudError as error:
            return self.error(request, error), caller, error.code
        return self._operated(request, product, operation, call)

    def authenticate(self, request: Request) -> Caller:
        """Who signed the request.

        Raises:
            CloudError: Nobody that is known, or not now, or not this.
        """
        raw = signed(request)
        caller, secret = self._cloud.identity.caller(
            signatures.acs3_key(raw), request.headers.get("x-acs-security-token")
        )
        signatures.verify_acs3(raw, secret)
        self._check_date(request.headers.get("x-acs-date", ""))
        self._check_nonce(caller.access_key_id, request.headers.get("x-acs-signature-nonce", ""))
        return caller

    def _operated(
        self, request: Request, product: Product, operation: Operation, call: Call
    ) -> tuple[Response, Caller, str | None]:
        try:
            with self._cloud.lock:
                body = operation.answer(call)
        except CloudError as error:
            if product.envelope and self._cloud.behaviour.switches.errors_in_http_200:
                failed = {**_envelope(call, error.code, error.message), "Success": False}
                answer = _json(200, {**failed, "HttpStatusCode": error.status}, {})
                return answer, call.caller, error.code
            return self.error(request, error), call.caller, error.code
        if product.envelope:
            body = {**_envelope(call, "200", "OK"), **body}
        return _json(200, {"RequestId": call.request_id, **body}, {}), call.caller, None

    def _product(self, request: Request) -> Product:
        version = request.headers.get("x-acs-version", "")
        if version not in self._cloud.products:
            raise CloudError(404, "InvalidVersion", "Specified parameter Version is not valid.")
        if request.method not in ("POST", "GET"):
            raise CloudError(405, "UnsupportedHTTPMethod", "This http method is not supported.")
        return self._cloud.products[version][1]

    def _call(self, request: Request, action: str, operation: Operation, caller: Caller) -> Call:
        if operation.params_in == "body":
            raw = request.get_data().decode("utf-8", "replace")
        else:
            raw = request.query_string.decode("ascii", "replace")
        return Call(
            action=action,
            params=dict(parse_qsl(raw, keep_blank_values=True)),
            caller=caller,
            request_id=request_id(),
            now=self._cloud.clock.now(),
        )

    def _authorize(self, product: Product, operation: Operation, call: Call) -> None:
        if not operation.needs_permission:
            return
        action = f"{product.code}:{call.action}"
        context = {**base_context(call.caller, call.now), **operation.context(call)}
        for resource in operation.resources(call):
            if not ram.allowed(call.caller, action, resource, context):
                raise denied(call.caller, action)

    def _check_date(self, text: str) -> None:
        try:
            date = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        except ValueError:
            raise CloudError(
                400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted."
            ) from None
        if abs(date.timestamp() - self._cloud.signing_time()) > SKEW_SECONDS:
            raise CloudError(
                400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."
            )

    def _check_nonce(self, key: str, nonce: str) -> None:
        if not nonce:
            raise CloudError(400, "MissingParameter", "x-acs-signature-nonce is mandatory.")
        now = self._cloud.signing_time()
        if len(self._nonces) >= _NONCES:
            self._nonces = {one: at for one, at in self._nonces.items() if at > now - SKEW_SECONDS}
        used = f"{key}/{nonce}"
        if used in self._nonces:
            raise CloudError(
                400, "SignatureNonceUsed", "Specified signature nonce was used already."
            )
        self._nonces[used] = now


def denied(caller: Caller, action: str) -> CloudError:
    """RAM's refusal."""
    kinds = {"user": "SubUser", "role": "AssumedRoleUser", "root": "RootUser"}
    detail = {
        "AuthAction": action,
        "AuthPrincipalType": kinds[caller.identity],
        "AuthPrincipalOwnerId": caller.account_uid,
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
    }
    return CloudError(
        403,
        "NoPermission",
        "You are not authorized to do this action. You should be authorized by RAM.",
        extra={"AccessDeniedDetail": detail},
    )


def _envelope(call: Call, code: str, message: str) -> dict[str, Any]:
    # The noise fields are filled on success as well, as the documented example has them.
    return {
        "RequestId": call.request_id,
        "Success": code == "200",
        "Code": code,
        "Message": message,
        "HttpStatusCode": 200,
        "DynamicCode": "IllegalParamFormat.EcrId",
        "DynamicMessage": "The param format of EcrId **** is illegal.",
        "AccessDeniedDetail": "Authentication is failed for ****",
    }


def _json(status: int, body: dict[str, Any], headers: Mapping[str, str]) -> Response:
    return Response(
        json.dumps(body),
        status,
        {**headers, "x-acs-request-id": str(body["RequestId"])},
        content_type="application/json;charset=utf-8",
    )
