"""Account A's listings of a whole ECR: its grants, associations and child instances.

Sources: DescribeInstanceGrantedToExpressConnectRouter (CallerType ECR, the default; its rows say
Node where requests say Instance, and count time in milliseconds),
DescribeExpressConnectRouterAssociation, DescribeExpressConnectRouterChildInstance,
DescribeExpressConnectRouter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from alibabacloud_expressconnectrouter20230901 import models
from alibabacloud_expressconnectrouter20230901.client import Client
from pydantic import ValidationError

from shared.cleanup.findings import Shown
from shared.cloud import sdk
from shared.cloud.times import readable_time
from shared.contract import AuthorizationId
from shared.lines import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.cloud.credentials import Credentials

_PAGE: Final = 100
_GOING: Final = ("DELETING", "DISSOCIATING")
_SHOWN_CHARACTERS: Final = 60


class Listings:
    """The ECR API as account A reads it; every method may raise CloudFailure."""

    def __init__(self, endpoint: str, region: str) -> None:
        self._endpoint = endpoint
        self._region = region

    def show(self, credentials: Credentials, ecr_id: str, owner_uid: str, at: datetime) -> Shown:
        """All that the ECR's listings show, begun at `at`: one of each, for all accounts.

        Raises:
            CloudFailure: A page could not be had: nothing is known of what was not in the others.
        """
        client = Client(sdk.config(credentials, self._endpoint, self._region))
        shown = Shown(at)
        operation: Any = client.describe_instance_granted_to_express_connect_router_with_options
        request: Any = models.DescribeInstanceGrantedToExpressConnectRouterRequest(
            ecr_id=ecr_id, max_results=_PAGE
        )
        for row in sdk.rows(operation, request, "ecr_granted_instance_list"):
            node = (row.node_id, row.node_type, row.node_region_id, row.node_owner_uid)
            of = _id(ecr_id, row.ecr_owner_ali_uid or owner_uid, node)
            if of is None:
                shown.unreadable.append(one_line(row.grant_id, _SHOWN_CHARACTERS))
            else:
                shown.add_grant(of, readable_time(row.gmt_create))
        for row, instance in self._attached(client, ecr_id):
            of = _id(ecr_id, owner_uid, instance)
            if of is None:
                shown.unreadable.append(one_line(row.association_id, _SHOWN_CHARACTERS))
            elif str(row.status).upper() not in _GOING:
                shown.add_association(of, str(row.association_id))
        return shown

    def exists(self, credentials: Credentials, ecr_id: str) -> bool:
        """Account A shows the ECR: one that is missing is an empty list."""
        client = Client(sdk.config(credentials, self._endpoint, self._region))
        request = models.DescribeExpressConnectRouterRequest(ecr_id=ecr_id, max_results=_PAGE)
        operation = client.describe_express_connect_router_with_options
        return any(row.ecr_id == ecr_id for row in sdk.rows(operation, request, "ecr_list"))

    def vpcs(self, credentials: Credentials, ecr_id: str) -> int:
        """How many VPCs stand on the ECR, whosever they are; those that come and go included."""
        client = Client(sdk.config(credentials, self._endpoint, self._region))
        operation: Any = client.describe_express_connect_router_association_with_options
        request: Any = models.DescribeExpressConnectRouterAssociationRequest(
            ecr_id=ecr_id, association_node_type="VPC", max_results=_PAGE
        )
        return sum(1 for _ in sdk.rows(operation, request, "association_list"))

    def _attached(self, client: Client, ecr_id: str) -> Iterator[tuple[Any, tuple[Any, ...]]]:
        """Rows of both families, each with the instance that it is about."""
        operation: Any = client.describe_express_connect_router_association_with_options
        request: Any = models.DescribeExpressConnectRouterAssociationRequest(
            ecr_id=ecr_id, association_node_type="VPC", max_results=_PAGE
        )
        for row in sdk.rows(operation, request, "association_list"):
            yield row, (row.vpc_id, "VPC", row.region_id, row.vpc_owner_id)
        operation = client.describe_express_connect_router_child_instance_with_options
        request = models.DescribeExpressConnectRouterChildInstanceRequest(
            ecr_id=ecr_id, max_results=_PAGE
        )
        for row in sdk.rows(operation, request, "child_instance_list"):
            region, owner = row.child_instance_region_id, row.child_instance_owner_id
            yield row, (row.child_instance_id, row.child_instance_type, region, owner)


def _id(ecr_id: str, ecr_owner: object, instance: tuple[Any, ...]) -> AuthorizationId | None:
    """What a row is about; None where it is nothing that can be authorised."""
    instance_id, kind, region_id, owner_uid = instance
    given = {
        "ecr_id": ecr_id,
        "ecr_owner_uid": str(ecr_owner),
        "instance_id": instance_id,
        "instance_type": str(kind).upper(),
        "instance_region_id": region_id,
        "instance_owner_uid": str(owner_uid),
    }
    try:
        return AuthorizationId.model_validate(given)
    except ValidationError:
        return None
