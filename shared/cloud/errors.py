"""Every failure of a cloud call, sorted by what the caller must do, and explained to people.

CloudFailure             a call did not give what was asked
├── Refused              definite, for good: say so, with the remedy
├── NotNow               definite, passing: come again later (retry_after: seconds, if hinted)
└── OutcomeUnknown       indefinite: it may have happened; look at the cloud, never assume
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shared.lines import one_line

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST_MESSAGE: Final = 500
_LONGEST_REQUEST_ID: Final = 100


NO_ECR: Final = "ResourceNotFound.EcrId"
_NO_PERMISSION: Final = re.compile(r"NoPermission|AccessDenied.*|Forbidden.*")


class CloudFailure(Exception):
    """A cloud call did not give what was asked.

    Args:
        cloud_code: The cloud's own code (`Conflict.Lock`), or a word for what happened instead
            (`Timeout`) where no answer came.
        message: The cloud's sentence, without request ids.
        status: The HTTP status, where one came.
        request_id: The cloud's request id, for a support case.
        retry_after: Seconds, where the cloud hinted at them.
    """

    def __init__(
        self,
        cloud_code: str,
        message: str = "",
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{cloud_code}: {message}" if message else cloud_code)
        self.cloud_code = cloud_code
        self.message = message
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after

    @property
    def explanation(self) -> Explanation:
        """What it means, and what a person can do."""
        return explain(self.cloud_code)


class Refused(CloudFailure):
    """The cloud said no for good: asking again gives the same answer."""


class NotNow(CloudFailure):
    """The cloud said no for the moment, and nothing was done."""


class OutcomeUnknown(CloudFailure):
    """No answer that can be relied on: the call may have been carried out."""


@dataclass(frozen=True)
class Explanation:
    """One situation: how it is classified, its stable code for people, and the remedy."""

    kind: type[CloudFailure]
    code: str
    remedy: str


_LATER: Final = "Nothing to do: the work is tried again by itself."
_MISTAKE: Final = (
    "The cloud did not accept the request's parameters. Compare the ids, the region and the owner "
    "with both consoles and ask again with a new request id."
)
_MESSAGE_GONE: Final = (
    "Another one has taken the message, or held it for too long. List what lies there again."
)
_DENIED: Final = (
    "The role in the instance's account may be missing, may not trust the authorize function's "
    "role, may carry another ExternalId, or may lack the permission. Compare it with "
    "infra/account-b.yaml and ask again with a new request id."
)
_VBR: Final = (
    "Connecting a VBR to another account's ECR is off by default. Send Alibaba Cloud the proof "
    "that both accounts belong to one entity, have the customer manager enable it, note the proof "
    "in the registry, and ask again with a new request id."
)
_ENTITY: Final = (
    "The cloud refuses to connect accounts of different enterprises or across a border without "
    "qualification. "
) + _VBR
_REJECTED: Final = (
    "Another product refuses the instance: it may be attached elsewhere (a VPC takes dynamic "
    "routes from one source only), or, for a VBR, cross-account use may not be enabled. Free it, "
    "or have the customer manager enable it, and ask again with a new request id."
)

_EXACT: Final[dict[str, Explanation]] = {
    # passing
    "Conflict.Lock": Explanation(NotNow, "ecr_busy", _LATER),
    "OperationFailed.CallingVpcYaochi": Explanation(NotNow, "cloud_busy", _LATER),
    "OperationDenied.VbrHasRouteEntryInMiddleStatus": Explanation(NotNow, "vbr_busy", _LATER),
    "OperationDenied.VbrHasBgpGroupInMiddleStatus": Explanation(NotNow, "vbr_busy", _LATER),
    "IncorrectStatus.Ecr": Explanation(NotNow, "ecr_busy", _LATER),
    "IncorrectStatus.EcrAssociation": Explanation(NotNow, "association_busy", _LATER),
    "IncorrectVpcStatus": Explanation(NotNow, "vpc_busy", _LATER),
    "TaskConflict": Explanation(NotNow, "vpc_busy", _LATER),
    "SystemBusy": Explanation(NotNow, "cloud_busy", _LATER),
    "ServiceUnavailable": Explanation(OutcomeUnknown, "cloud_unavailable", _LATER),
    "InternalError": Explanation(OutcomeUnknown, "cloud_unavailable", _LATER),
    "Rejected.Throttling": Explanation(NotNow, "throttled", _LATER),
    "OperationDenied.NotGrantedByNodeOwner": Explanation(
        NotNow,
        "not_granted",
        "The cloud does not see the authorization that was given. Look in the instance's account "
        "whether it was taken away by hand. For a VBR: " + _VBR,
    ),
    "InvalidSecurityToken.Expired": Explanation(NotNow, "credentials_expired", _LATER),
    # a person must act
    "OperationDenied.CrossBidAssociating": Explanation(Refused, "cross_entity", _ENTITY),
    "OperationDenied.CrossAccountAttaching": Explanation(Refused, "cross_entity", _ENTITY),
    "OperationFailed.CrossBorderNotAllowed": Explanation(Refused, "cross_entity", _ENTITY),
    "OperationFailed.RejectedByEcYaochi": Explanation(Refused, "rejected_by_cloud", _REJECTED),
    "OperationFailed.RejectedByVpcYaochi": Explanation(Refused, "rejected_by_cloud", _REJECTED),
    "OperationFailed.RejectedByCenYaochi": Explanation(Refused, "rejected_by_cloud", _REJECTED),
    "OperationFailed.UsedInRouteEntryNextHop": Explanation(
        Refused,
        "route_to_ecr",
        "A static route of the VPC still points to the ECR. Delete the route entry in the VPC's "
        "account, then ask for the revoke again with a new request id.",
    ),
    "OperationDenied.VbrDoesNotSupportMpbgp": Explanation(
        Refused, "vbr_without_mpbgp", "Move the leased line to a VBR that supports MPBGP."
    ),
    "Conflict.ASNOfVBR": Explanation(
        Refused, "asn_conflict", "Give the VBR's BGP group the ASN of the ECR, then ask again."
    ),
    "OperationDenied.ForceDeleting": Explanation(
        Refused, "ecr_deleting", "The ECR is being deleted. Ask for another ECR."
    ),
    "UnsupportedRegion": Explanation(
        Refused, "region_unsupported", "ECR is not offered in that region. Use another region."
    ),
    "OperationFailed.UserNotInWhiteList": Explanation(
        Refused, "ecr_not_enabled", "Have ECR enabled for the account, then ask again."
    ),
    NO_ECR: Explanation(
        Refused, "ecr_not_found", "The ECR does not exist any more. Mend the registry."
    ),
    "EntityNotExist.Role": Explanation(
        Refused, "role_not_found", "The role named in the registry does not exist. " + _DENIED
    ),
    "InvalidParameter.ExternalId": Explanation(Refused, "access_denied", _DENIED),
    "NoPermission": Explanation(Refused, "access_denied", _DENIED),
    "Forbidden.RAM": Explanation(Refused, "access_denied", _DENIED),
    "AccessDenied": Explanation(Refused, "access_denied", _DENIED),
    "NotInRegistry": Explanation(
        Refused,
        "not_in_registry",
        "The registry no longer names the ECR or the account, or no longer allows the instance. "
        "Put it back, or clean up by hand.",
    ),
    "InvalidVpcId.NotFound": Explanation(
        Refused, "instance_not_found", "The VPC does not exist in that account and region."
    ),
    "MessageNotExist": Explanation(Refused, "message_gone", _MESSAGE_GONE),
    "ReceiptHandleError": Explanation(Refused, "message_gone", _MESSAGE_GONE),
}

_BY_PREFIX: Final[tuple[tuple[str, Explanation], ...]] = (
    ("Throttling", Explanation(NotNow, "throttled", _LATER)),
    (
        "QuotaExceeded.",
        Explanation(
            Refused,
            "quota_exceeded",
            "A quota of the ECR is used up. Raise it in Quota Center or free an association, then "
            "ask again with a new request id.",
        ),
    ),
    (
        "OperationFailed.Cdt",
        Explanation(
            Refused,
            "cdt_not_opened",
            "Open CDT (Cloud Data Transfer) in account A, then ask again.",
        ),
    ),
    ("MissingParam", Explanation(Refused, "bad_parameter", _MISTAKE)),
    ("IllegalParam", Explanation(Refused, "bad_parameter", _MISTAKE)),
    ("InvalidParameter", Explanation(Refused, "bad_parameter", _MISTAKE)),
    ("ExclusiveParam", Explanation(Refused, "bad_parameter", _MISTAKE)),
    ("IdempotentParameterMismatch", Explanation(Refused, "bad_parameter", _MISTAKE)),
    ("InvalidAccessKeyId", Explanation(Refused, "access_denied", _DENIED)),
    ("Forbidden", Explanation(Refused, "access_denied", _DENIED)),
)

_UNKNOWN: Final = Explanation(
    OutcomeUnknown,
    "unknown_answer",
    "The cloud gave no answer, or one that is not known here. The cloud is looked at and the work "
    "tried again by itself; if it stays, open a support case with the request id.",
)

GONE: Final = frozenset({"ResourceNotFound.AssociationId", "ResourceNotFound.ChildInstanceId"})
"""Codes that are success where something is taken away: it is gone already."""


def is_denied(cloud_code: str) -> bool:
    """The caller lacks the permission, whichever service says so."""
    return _NO_PERMISSION.fullmatch(cloud_code) is not None


def explain(cloud_code: str) -> Explanation:
    """The one explanation of a cloud code: matched exactly, then by prefix, else unknown."""
    exact = _EXACT.get(cloud_code)
    if exact is not None:
        return exact
    for prefix, explanation in _BY_PREFIX:
        if cloud_code.startswith(prefix):
            return explanation
    return _UNKNOWN


def failure(
    cloud_code: str,
    message: str = "",
    *,
    status: int | None = None,
    request_id: str | None = None,
    retry_after: float | None = None,
) -> CloudFailure:
    """The failure of the right class for an answer of the cloud.

    A code that is not known here is OutcomeUnknown, whatever its HTTP status; a 404 that names a
    missing thing is Refused, and callers that take things away read it as gone. What the answer
    says goes into logs, results and reports: it is one short printable line from here on.
    """
    cloud_code = cloud_code if _CODE.fullmatch(cloud_code) else "UnreadableCode"
    message = one_line(message, _LONGEST_MESSAGE)
    request_id = one_line(request_id, _LONGEST_REQUEST_ID) if request_id else None
    kind = explain(cloud_code).kind
    if kind is OutcomeUnknown and (cloud_code in GONE or "NotFound" in cloud_code):
        kind = Refused
    return kind(cloud_code, message, status=status, request_id=request_id, retry_after=retry_after)
