"""Express Connect Router 2023-09-01: grant and revoke in account B, associations in account A.

A VPC is associated (Create/Delete/DescribeExpressConnectRouterAssociation), a VBR is attached
(Attach/Detach/DescribeExpressConnectRouterChildInstance); both are one thing here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from alibabacloud_expressconnectrouter20230901 import models
from alibabacloud_expressconnectrouter20230901.client import Client

from shared.cloud import sdk
from shared.cloud.errors import GONE, CloudFailure, OutcomeUnknown, Refused

if TYPE_CHECKING:
    from shared.authorization import AssociationState
    from shared.cloud.credentials import Credentials
    from shared.cloud.sessions import Purpose
    from shared.contract import AuthorizationId

_PAGE: Final = 100
_PAGES: Final = 50
_ASSOCIATION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_STATES: Final[dict[str, AssociationState]] = {
    "ACTIVE": "active",
    "INACTIVE": "active",
    "UPDATING": "active",
    "CREATING": "creating",
    "ASSOCIATING": "creating",
    "DISSOCIATING": "deleting",
    "DELETING": "deleting",
}


@dataclass(frozen=True)
class Association:
    """What account A's ECR shows of one instance."""

    state: AssociationState
    association_id: str | None


NOT_ASSOCIATED: Final = Association("absent", None)


class Router:
    """The ECR API; each call is made with the credentials that it is given.

    Every method may raise CloudFailure.
    """

    def __init__(self, endpoint: str, region: str) -> None:
        self._endpoint = endpoint
        self._region = region

    def _client(self, credentials: Credentials) -> Client:
        return Client(sdk.config(credentials, self._endpoint, self._region))

    def grant(self, credentials: Credentials, of: AuthorizationId, token: str) -> None:
        """Account B allows the ECR on its instance (GrantInstanceToExpressConnectRouter)."""
        request = models.GrantInstanceToExpressConnectRouterRequest(
            client_token=token, **_granted(of)
        )
        client = self._client(credentials)
        sdk.call(client.grant_instance_to_express_connect_router_with_options, request)

    def revoke(self, credentials: Credentials, of: AuthorizationId, token: str) -> None:
        """Account B takes it back (RevokeInstanceFromExpressConnectRouter).

        What is not there is gone already: success.
        """
        request = models.RevokeInstanceFromExpressConnectRouterRequest(
            client_token=token, **_granted(of)
        )
        client = self._client(credentials)
        try:
            sdk.call(client.revoke_instance_from_express_connect_router_with_options, request)
        except Refused as refused:
            if "NotFound" not in refused.cloud_code:
                raise

    def try_write(self, credentials: Credentials, of: AuthorizationId, purpose: Purpose) -> None:
        """A grant or a revoke is tried (DryRun): it would be done, and nothing is.

        A dry run that passed is an error, `DryRunOperation`, or plain success: both are success.

        Raises:
            CloudFailure: It would not be done; the cloud's code says why.
        """
        client = self._client(credentials)
        operation: Any = client.revoke_instance_from_express_connect_router_with_options
        request: Any = models.RevokeInstanceFromExpressConnectRouterRequest(
            dry_run=True, **_granted(of)
        )
        if purpose == "grant":
            operation = client.grant_instance_to_express_connect_router_with_options
            request = models.GrantInstanceToExpressConnectRouterRequest(
                dry_run=True, **_granted(of)
            )
        try:
            sdk.call(operation, request)
        except CloudFailure as failure:
            if failure.cloud_code != "DryRunOperation":
                raise

    def associate(self, credentials: Credentials, of: AuthorizationId, token: str) -> str | None:
        """Account A attaches the instance; it becomes active by and by.

        Returns:
            The association's id for a VPC; None for a VBR, whose call gives none.
        """
        client = self._client(credentials)
        if of.instance_type == "VBR":
            attach = models.AttachExpressConnectRouterChildInstanceRequest(
                ecr_id=of.ecr_id,
                child_instance_id=of.instance_id,
                child_instance_type=of.instance_type,
                child_instance_region_id=of.instance_region_id,
                child_instance_owner_id=int(of.instance_owner_uid),
                client_token=token,
            )
            sdk.call(client.attach_express_connect_router_child_instance_with_options, attach)
            return None
        create = models.CreateExpressConnectRouterAssociationRequest(
            ecr_id=of.ecr_id,
            association_region_id=of.instance_region_id,
            vpc_id=of.instance_id,
            vpc_owner_id=int(of.instance_owner_uid),
            client_token=token,
        )
        body = sdk.call(client.create_express_connect_router_association_with_options, create)
        return _association_id(body.association_id)

    def dissociate(
        self, credentials: Credentials, of: AuthorizationId, association_id: str, token: str
    ) -> None:
        """Account A detaches the instance; it goes by and by. What is gone already is success."""
        client = self._client(credentials)
        try:
            if of.instance_type == "VBR":
                detach = models.DetachExpressConnectRouterChildInstanceRequest(
                    ecr_id=of.ecr_id,
                    child_instance_id=of.instance_id,
                    child_instance_type=of.instance_type,
                    client_token=token,
                )
                sdk.call(client.detach_express_connect_router_child_instance_with_options, detach)
            else:
                delete = models.DeleteExpressConnectRouterAssociationRequest(
                    ecr_id=of.ecr_id, association_id=association_id, client_token=token
                )
                sdk.call(client.delete_express_connect_router_association_with_options, delete)
        except Refused as refused:
            if refused.cloud_code not in GONE:
                raise

    def association(self, credentials: Credentials, of: AuthorizationId) -> Association:
        """What the ECR shows of the instance now.

        Where it shows several of one instance: first the one that is not active; where all are,
        `doubled`, with the id of the one that is to go.
        """
        client = self._client(credentials)
        if of.instance_type == "VBR":
            describe: Any = models.DescribeExpressConnectRouterChildInstanceRequest(
                ecr_id=of.ecr_id,
                child_instance_id=of.instance_id,
                child_instance_type=of.instance_type,
                max_results=_PAGE,
            )
            operation: Any = client.describe_express_connect_router_child_instance_with_options
            found = sdk.rows(operation, describe, "child_instance_list", _PAGES)
            ours = [
                row
                for row in found
                if row.child_instance_id == of.instance_id
                and _is_at(of, row.child_instance_owner_id, row.child_instance_region_id)
            ]
        else:
            describe = models.DescribeExpressConnectRouterAssociationRequest(
                ecr_id=of.ecr_id,
                vpc_id=of.instance_id,
                association_node_type="VPC",
                max_results=_PAGE,
            )
            operation = client.describe_express_connect_router_association_with_options
            found = sdk.rows(operation, describe, "association_list", _PAGES)
            ours = [
                row
                for row in found
                if row.vpc_id == of.instance_id and _is_at(of, row.vpc_owner_id, row.region_id)
            ]
        seen = [_association(row) for row in ours if row.ecr_id in (None, of.ecr_id)]
        if len(seen) > 1 and all(one.state == "active" for one in seen):
            return Association("doubled", max(one.association_id or "" for one in seen))
        return min(seen, key=lambda one: one.state == "active", default=NOT_ASSOCIATED)


def _is_at(of: AuthorizationId, owner_uid: object, region_id: object) -> bool:
    """The row is of this owner and region; what a row does not say does not tell against it."""
    owner, region = of.instance_owner_uid, of.instance_region_id
    return str(owner_uid or owner) == owner and (region_id or region) == region


def _association(row: Any) -> Association:
    # A state that we do not know is something that is there and may change: come again.
    state = _STATES.get(str(row.status).upper(), "creating")
    return Association(state, _association_id(row.association_id))


def _association_id(value: object) -> str | None:
    """It is kept, announced, and named when the association is to go: nothing else passes for it.

    Raises:
        OutcomeUnknown: It is none.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and _ASSOCIATION_ID.fullmatch(value):
        return value
    raise OutcomeUnknown("UnreadableId", "the association's id cannot be read")


def _granted(of: AuthorizationId) -> dict[str, Any]:
    return {
        "ecr_id": of.ecr_id,
        "ecr_owner_ali_uid": int(of.ecr_owner_uid),
        "instance_id": of.instance_id,
        "instance_region_id": of.instance_region_id,
        "instance_type": of.instance_type,
    }
