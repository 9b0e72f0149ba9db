"""VPC 2016-04-28: what account B's own pages show of its grants to ECRs.

The SDK is heavy and a grant does not need it: it is imported when the first look is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shared.cloud import sdk
from shared.cloud.errors import OutcomeUnknown
from shared.cloud.times import readable_time

if TYPE_CHECKING:
    from datetime import datetime

    from shared.cloud.credentials import Credentials
    from shared.contract import AuthorizationId

_VBR_PAGE: Final = 50
_VPC_PAGE: Final = 100
_PAGES: Final = 50


class Network:
    """The VPC API as account B; each call is made with the credentials that it is given."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def authorized_at(self, credentials: Credentials, of: AuthorizationId) -> datetime | None:
        """When the instance's account granted it to the ECR; None where it shows no such grant.

        Source: DescribeVpcGrantRulesToEcr (VPC), DescribeGrantRulesToEcr (VBR). Every row is
        compared with what was asked for: the server's filters are not relied on.

        Raises:
            CloudFailure: The account could not be looked at.
        """
        from alibabacloud_vpc20160428.client import Client  # noqa: PLC0415 -- heavy, seldom used

        client = Client(sdk.config(credentials, self._endpoint, of.instance_region_id))
        if of.instance_type == "VBR":
            return _of_vbr(client, of)
        return _of_vpc(client, of)


def _of_vpc(client: Any, of: AuthorizationId) -> datetime | None:
    from alibabacloud_vpc20160428 import models  # noqa: PLC0415 -- as above

    request = models.DescribeVpcGrantRulesToEcrRequest(
        region_id=of.instance_region_id,
        instance_id=of.instance_id,
        instance_type=of.instance_type,
        ecr_instance_id=of.ecr_id,
        ecr_owner_id=int(of.ecr_owner_uid),
        max_results=_VPC_PAGE,
    )
    for _ in range(_PAGES):
        body = sdk.call(client.describe_vpc_grant_rules_to_ecr_with_options, request)
        for row in body.grant_rule_models or []:
            ecr = (row.ecr_id, str(row.ecr_owner_id))
            if row.instance_id == of.instance_id and ecr == (of.ecr_id, of.ecr_owner_uid):
                return _time(row.creation_time)
        if not body.next_token:
            return None
        request.next_token = body.next_token
    raise OutcomeUnknown("TooManyPages", "the listing does not end")


def _of_vbr(client: Any, of: AuthorizationId) -> datetime | None:
    from alibabacloud_vpc20160428 import models  # noqa: PLC0415 -- as above

    for page in range(1, _PAGES + 1):
        request = models.DescribeGrantRulesToEcrRequest(
            region_id=of.instance_region_id,
            instance_id=of.instance_id,
            page_number=page,
            page_size=_VBR_PAGE,
        )
        body = sdk.call(client.describe_grant_rules_to_ecr_with_options, request)
        rows = body.ecr_grant_rules or []
        for row in rows:
            if (row.ecr_instance_id, str(row.ecr_uid)) == (of.ecr_id, of.ecr_owner_uid):
                return _time(row.create_time)
        if len(rows) < _VBR_PAGE:
            return None
    raise OutcomeUnknown("TooManyPages", "the listing does not end")


def _time(value: object) -> datetime:
    found = readable_time(value)
    if found is None:
        raise OutcomeUnknown("UnreadableTime", "the grant's time cannot be read")
    return found
