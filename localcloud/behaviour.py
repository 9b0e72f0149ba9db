"""What the cloud's documents leave open, one switch each, and faults on order."""

from __future__ import annotations

import threading
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Strict: an unknown switch is a mistake. The docstring of a field is its description."""

    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, use_attribute_docstrings=True
    )


class Switches(Model):
    """One setting for each question that only a live account could answer.

    The first value of each Literal is the default. A bool or Literal switch is tried in every
    value by the tests; numbers are tuned.
    """

    # Express Connect Router
    grant_twice: Literal["success", "error"] = "success"
    """Granting what is granted: success, or 400 IllegalParam.InstanceId."""
    revoke_twice: Literal["success", "not_found", "error"] = "success"
    """Revoking what is not granted: success, 404 ResourceNotFound.GrantInstance, or 400
    IllegalParam.InstanceId."""
    revoke_while_attached: Literal["refused", "association_stays", "association_dropped"] = (
        "refused"
    )
    """A revoke while the instance is attached: 400 IncorrectStatus.EcrAssociation, done with the
    association left behind, or done with the association dropped as well."""
    grant_of_unknown_instance: Literal["error", "success"] = "error"
    """A grant for an instance that does not exist: 400 IllegalParam.InstanceId or success."""
    errors_in_http_200: bool = False
    """ECR's errors come as HTTP 200 with Success=false and the code in the body."""
    dry_run_answer: Literal["error", "success"] = "error"
    """A passed dry run: 400 DryRunOperation, or plain success."""
    vbr_refused_at: Literal["grant", "attach"] = "grant"
    """Which call refuses a VBR of an account without cross-account enablement."""
    vbr_refused_with: Literal[
        "OperationDenied.CrossBidAssociating",
        "OperationFailed.RejectedByEcYaochi",
        "OperationFailed.RejectedByVpcYaochi",
        "OperationDenied.NotGrantedByNodeOwner",
    ] = "OperationDenied.CrossBidAssociating"
    """The code of that refusal."""
    associate_twice: Literal["rejected", "incorrect_status", "accepted"] = "rejected"
    """Associating an associated instance under a new token: 400
    OperationFailed.RejectedByVpcYaochi, 400 IncorrectStatus.EcrAssociation, or a second
    association."""
    grant_takes_ecr_lock: bool = True
    """Grant and Revoke are refused with Conflict.Lock while the ECR has an unfinished operation."""
    grant_visible_after_seconds: Annotated[float, Field(ge=0)] = 0.0
    """How long a new grant (or its end) stays unseen by describes and by associations."""
    listing_needs_arn_of: Literal["caller", "ecr_owner"] = "caller"
    """Whose account id the ECR's ARN carries when account B lists grants (CallerType=OTHER)."""
    grant_status: Literal["Active", "ACTIVE", "Available"] = "Active"
    """The Status that a listed grant shows."""
    token_reuse: Literal["replay", "mismatch_is_error"] = "replay"
    """A ClientToken seen before with other parameters: the first answer again, or 400
    IdempotentParameterMismatch. With the same parameters it is always the first answer."""
    token_retention_seconds: Annotated[float, Field(ge=0)] = 3600.0
    """How long a ClientToken is remembered."""
    retry_after_header: bool = False
    """Throttling answers carry x-acs-retry-after (seconds)."""
    operation_seconds: Annotated[float, Field(ge=0)] = 0.6
    """How long an association takes to become ACTIVE, and to go."""
    quotas: bool = True
    """The per-minute API quotas are enforced."""
    writes_per_minute: int = 120
    """How many writes of one API an account has in a minute."""
    reads_per_minute: int = 300
    """How many reads of one API an account has in a minute."""
    external_id_refusal: Literal["NoPermission", "InvalidParameter.ExternalId"] = "NoPermission"
    """The code when an ExternalId is missing or wrong."""

    # MNS, EventBridge and Function Compute
    eventbridge_elements: Literal["objects", "strings"] = "objects"
    """Elements of a streamed batch: JSON objects, or strings that hold JSON."""
    eventbridge_plain_body: Literal["as_it_is", "dropped"] = "as_it_is"
    """IsBase64Decode on a body that is not base64: passed on, or the message is lost to the
    dead-letter queue."""
    topic_event_tag: bool = False
    """An FC topic event in JSON form carries MessageTag."""
    topic_event_base64: bool = False
    """An FC topic event carries the published body base64-encoded."""
    http_without_status_code: Literal["bad_gateway", "ok"] = "bad_gateway"
    """A function's HTTP answer without statusCode: 502, or 200 with the answer as its body."""
    credentials_refresh: bool = False
    """A living instance sees new credentials in its environment before the old ones expire."""

    @classmethod
    def described(cls) -> list[tuple[str, str, str]]:
        """Each switch: its name, its values (the default first), and what it settles."""
        rows = []
        for name, field in cls.model_fields.items():
            if get_origin(field.annotation) is Literal:
                values = ", ".join(get_args(field.annotation))
            elif field.annotation is bool:
                values = "true, false" if field.default else "false, true"
            else:
                values = str(field.default)
            rows.append((name, values, " ".join((field.description or "").split())))
        return rows


class Fault(Model):
    """One thing that goes wrong on order, at the wire.

    Args:
        product: `sts`, `vpc`, `ecr`, `mns`, `fc`, or `*`.
        action: The API action (`GrantInstanceToExpressConnectRouter`, `SendMessage`), or `*`.
        kind: What happens. `cut` closes the connection without an answer, `hang` holds the answer
            for `seconds`, `error` answers `status` and `code`, `throttle` answers 400
            Throttling.User, `html` answers 502 with an HTML page.
        when: Before the operation is done, or after it took effect.
        times: How many calls it hits; -1 for all.
        account: Only calls signed by this account.
    """

    product: str = "*"
    action: str = "*"
    kind: Literal["cut", "hang", "error", "throttle", "html"]
    when: Literal["before", "after"] = "before"
    times: int = 1
    account: str | None = None
    status: int = 503
    code: str = "ServiceUnavailable"
    seconds: float = 1.0


class DeliveryFault(Model):
    """What queues and topics do to messages: each a chance in [0, 1], drawn from `seed`."""

    duplicate: Annotated[float, Field(ge=0, le=1)] = 0.0
    delay: Annotated[float, Field(ge=0, le=1)] = 0.0
    delay_seconds: float = 5.0
    reorder: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: int = 0


class Behaviour:
    """The switches in force, the faults still to come, and how messages are delivered."""

    def __init__(self, switches: Switches | None = None) -> None:
        self.switches = switches or Switches()
        self.delivery = DeliveryFault()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def order(self, fault: Fault) -> None:
        """Have `fault` happen to the next calls that fit it."""
        with self._lock:
            self._faults.append(fault.model_copy())

    def faults(self) -> list[Fault]:
        """The faults still to come."""
        with self._lock:
            return [fault.model_copy() for fault in self._faults]

    def clear(self) -> None:
        """No more faults, messages delivered faithfully."""
        with self._lock:
            self._faults.clear()
        self.delivery = DeliveryFault()

    def take(self, product: str, action: str, account: str | None, when: str) -> Fault | None:
        """The fault that hits this call at this moment, if one was ordered; it is used up."""
        with self._lock:
            for fault in self._faults:
                fits = (
                    fault.when == when
                    and fault.product in ("*", product)
                    and fault.action in ("*", action)
                    and fault.account in (None, account)
                )
                if fits:
                    if fault.times > 0:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    return fault
        return None
