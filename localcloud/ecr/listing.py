"""The ECR API's listings, with the names that each of them uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from localcloud import parameters
from localcloud.call import Call, CloudError, Operation
from localcloud.clock import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.cloud import Cloud
    from localcloud.ecr.operations import _Api
    from localcloud.ecr.state import Association, Grant

_PAGE: Final = 20
_PAGE_LIMIT: Final = 2147483647


def operations(cloud: Cloud, api: _Api) -> dict[str, Operation]:
    """The reads of the ECR API."""

    def read(
        answer: Callable[[Cloud, _Api, Call], dict[str, Any]],
        resources: Callable[[Call], list[str]],
    ) -> Operation:
        return Operation(
            answer=lambda call: answer(cloud, api, call),
            resources=resources,
            quota="read",
            params_in="body",
        )

    def on_ecr(call: Call) -> list[str]:
        owner, ecr_id = call.caller.account_uid, call.params.get("EcrId") or "*"
        others = call.params.get("CallerType") == "OTHER"
        if others and cloud.behaviour.switches.listing_needs_arn_of == "ecr_owner":
            found = cloud.world.ecr(ecr_id)
            owner = found[0].uid if found else owner
        return [f"acs:expressconnectrouter::{owner}:expressconnectrouter/{ecr_id}"]

    return {
        "DescribeInstanceGrantedToExpressConnectRouter": read(_granted, on_ecr),
        "DescribeExpressConnectRouterAssociation": read(_associations, on_ecr),
        "DescribeExpressConnectRouterChildInstance": read(_children, on_ecr),
        "DescribeExpressConnectRouter": read(_routers, on_ecr),
    }


def _granted(cloud: Cloud, api: _Api, call: Call) -> dict[str, Any]:
    """DescribeInstanceGrantedToExpressConnectRouter."""
    params = call.params
    caller_type = params.get("CallerType") or "ECR"
    if caller_type not in ("ECR", "OTHER"):
        raise CloudError(400, "IllegalParam.CallerType", "The param CallerType is illegal.")
    ecr_id = parameters.ecr_id(params)
    if caller_type == "ECR":
        api.own_ecr(call)
    grants = [
        grant
        for grant in cloud.ecr.shown_grants(ecr_id=ecr_id)
        if (caller_type == "ECR" or grant.instance_owner_uid == call.caller.account_uid)
        and params.get("InstanceId") in (None, "", grant.subject.instance_id)
        and params.get("InstanceOwnerId") in (None, "", grant.instance_owner_uid)
        and params.get("InstanceRegionId") in (None, "", grant.subject.instance_region_id)
        and params.get("InstanceType") in (None, "", grant.subject.instance_type)
    ]
    status = cloud.behaviour.switches.grant_status
    return _paged(
        call, "EcrGrantedInstanceList", grants, lambda grant: _granted_row(cloud, grant, status)
    )


def _granted_row(cloud: Cloud, grant: Grant, status: str) -> dict[str, Any]:
    account = cloud.world.account(grant.instance_owner_uid)
    created = str(int(grant.created_at * 1000))
    return {
        "GrantId": grant.grant_id,
        "Status": status,
        "GmtCreate": created,
        "GmtModified": created,
        "EcrId": grant.subject.ecr_id,
        "EcrOwnerAliUid": grant.subject.ecr_owner_uid,
        "NodeId": grant.subject.instance_id,
        "NodeType": grant.subject.instance_type,
        "NodeRegionId": grant.subject.instance_region_id,
        "NodeOwnerUid": int(grant.instance_owner_uid),
        "NodeOwnerBid": account.enterprise if account else "",
    }


def _associations(cloud: Cloud, api: _Api, call: Call) -> dict[str, Any]:
    """DescribeExpressConnectRouterAssociation: VPCs."""
    params = call.params
    found = [
        one
        for one in _of_ecr(cloud, api, call, params.get("VpcId"))
        if one.subject.instance_type == "VPC"
        and params.get("AssociationId") in (None, "", one.association_id)
        and params.get("AssociationRegionId") in (None, "", one.subject.instance_region_id)
        and params.get("AssociationNodeType") in (None, "", "VPC")
    ]
    return _paged(call, "AssociationList", found, lambda one: _association_row(cloud, call, one))


def _association_row(cloud: Cloud, call: Call, one: Association) -> dict[str, Any]:
    vpc = cloud.world.vpc(one.subject.instance_id)
    return {
        "AssociationId": one.association_id,
        "AssociationNodeType": "VPC",
        "EcrId": one.subject.ecr_id,
        "RegionId": one.subject.instance_region_id,
        "OwnerId": int(one.subject.ecr_owner_uid),
        "VpcId": one.subject.instance_id,
        "VpcOwnerId": int(one.instance_owner_uid),
        "VpcName": vpc[1].name if vpc else "",
        "AllowedPrefixes": one.allowed_prefixes,
        "AllowedPrefixesMode": one.allowed_prefixes_mode,
        "Description": one.description,
        "GmtCreate": iso(one.created_at),
        "GmtModified": iso(one.created_at),
        "Status": one.status(call.now),
    }


def _children(cloud: Cloud, api: _Api, call: Call) -> dict[str, Any]:
    """DescribeExpressConnectRouterChildInstance: VBRs."""
    params = call.params
    found = [
        one
        for one in _of_ecr(cloud, api, call, params.get("ChildInstanceId"))
        if one.subject.instance_type == "VBR"
        and params.get("AssociationId") in (None, "", one.association_id)
        and params.get("ChildInstanceType") in (None, "", "VBR")
        and params.get("ChildInstanceRegionId") in (None, "", one.subject.instance_region_id)
    ]
    return _paged(call, "ChildInstanceList", found, lambda one: _child_row(cloud, call, one))


def _child_row(cloud: Cloud, call: Call, one: Association) -> dict[str, Any]:
    vbr = cloud.world.vbr(one.subject.instance_id)
    return {
        "AssociationId": one.association_id,
        "ChildInstanceId": one.subject.instance_id,
        "ChildInstanceName": vbr[1].name if vbr else "",
        "ChildInstanceType": "VBR",
        "ChildInstanceRegionId": one.subject.instance_region_id,
        "ChildInstanceOwnerId": int(one.instance_owner_uid),
        "EcrId": one.subject.ecr_id,
        "RegionId": one.subject.instance_region_id,
        "OwnerId": int(one.subject.ecr_owner_uid),
        "Description": one.description,
        "GmtCreate": iso(one.created_at),
        "GmtModified": iso(one.created_at),
        "Status": one.status(call.now),
    }


def _routers(cloud: Cloud, api: _Api, call: Call) -> dict[str, Any]:
    """DescribeExpressConnectRouter: an ECR that does not exist is an empty list."""
    del api
    params = call.params
    account = cloud.world.account(call.caller.account_uid)
    found = [
        ecr
        for ecr in (account.ecrs if account else [])
        if params.get("EcrId") in (None, "", ecr.id) and params.get("Name") in (None, "", ecr.name)
    ]
    return _paged(
        call,
        "EcrList",
        found,
        lambda ecr: {
            "EcrId": ecr.id,
            "OwnerId": int(call.caller.account_uid),
            "Name": ecr.name,
            "AlibabaSideAsn": ecr.asn,
            "BizStatus": "Normal",
            "Status": ecr.status,
        },
    )


def _of_ecr(cloud: Cloud, api: _Api, call: Call, instance_id: str | None) -> list[Association]:
    ecr = api.own_ecr(call)
    if instance_id:
        known = cloud.ecr.association_of(instance_id)
        return [one for one in known if one.subject.ecr_id == ecr.id]
    return cloud.ecr.associated(ecr.id)


def _paged(
    call: Call, name: str, rows: list[Any], row: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    shown, size, after = parameters.page(call.params, rows, _PAGE, _PAGE_LIMIT)
    return {
        "TotalCount": len(rows),
        "MaxResults": size,
        "NextToken": after,
        name: [row(one) for one in shown],
    }
