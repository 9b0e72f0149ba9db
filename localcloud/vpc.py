"""VPC 2016-04-28: VPCs, VBRs, and what an account has granted to ECRs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from localcloud.call import Call, CloudError, Operation, Product
from localcloud.clock import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localcloud.cloud import Cloud
    from localcloud.world import Account, Vbr, Vpc

_PAGE_LIMIT: Final = 50
_RULES_LIMIT: Final = 100
_IDS_LIMIT: Final = 20
_FILTERS_LIMIT: Final = 5


def product(cloud: Cloud) -> Product:
    """VPC as the wire dispatches to it."""

    def read(
        answer: Callable[[Cloud, Call, Account], dict[str, Any]],
        kind: str,
        parameter: str,
    ) -> Operation:
        def resources(call: Call) -> Sequence[str]:
            named = call.params.get(parameter) or "*"
            place = f"{call.params.get('RegionId', '*')}:{call.caller.account_uid}"
            return [f"acs:vpc:{place}:{kind}/{one}" for one in named.split(",")]

        def answered(call: Call) -> dict[str, Any]:
            _region(cloud, call)
            account = cloud.world.account(call.caller.account_uid)
            if account is None:
                raise CloudError(404, "InvalidAccount.NotFound", "The account does not exist.")
            return answer(cloud, call, account)

        return Operation(answer=answered, resources=resources)

    return Product(
        code="vpc",
        version="2016-04-28",
        operations={
            "DescribeVpcs": read(_vpcs, "vpc", "VpcId"),
            "DescribeVpcAttribute": read(_vpc_attribute, "vpc", "VpcId"),
            "DescribeVirtualBorderRouters": read(_vbrs, "virtualborderrouter", ""),
            "DescribeVpcGrantRulesToEcr": read(_vpc_rules, "vpc", "InstanceId"),
            "DescribeGrantRulesToEcr": read(_vbr_rules, "virtualborderrouter", "InstanceId"),
        },
    )


def _vpcs(_: Cloud, call: Call, account: Account) -> dict[str, Any]:
    ids = [one for one in call.params.get("VpcId", "").split(",") if one]
    if len(ids) > _IDS_LIMIT:
        raise CloudError(400, "InvalidVpcId.TooMany", f"At most {_IDS_LIMIT} ids can be given.")
    name = call.params.get("VpcName")
    found = [
        vpc
        for vpc in account.vpcs
        if vpc.region == call.params["RegionId"]
        and (not ids or vpc.id in ids)
        and name in (None, "", vpc.name)
    ]
    _dry_run(call)
    rows, paging = _numbered(call, found)
    return {**paging, "Vpcs": {"Vpc": [_vpc_row(account, vpc) for vpc in rows]}}


def _vpc_row(account: Account, vpc: Vpc) -> dict[str, Any]:
    return {
        "VpcId": vpc.id,
        "VpcName": vpc.name,
        "OwnerId": int(account.uid),
        "RegionId": vpc.region,
        "Status": vpc.status,
        "CidrBlock": str(vpc.cidr),
        "IsDefault": False,
    }


def _vpc_attribute(cloud: Cloud, call: Call, account: Account) -> dict[str, Any]:
    vpc_id = _required(call, "VpcId")
    for vpc in account.vpcs:
        if vpc.id == vpc_id and vpc.region == call.params["RegionId"]:
            _dry_run(call)
            sources = [
                {
                    "SourceInstanceId": one.subject.ecr_id,
                    "SourceOwnerId": int(one.subject.ecr_owner_uid),
                    "SourceType": "ECR",
                    "Status": one.status(call.now),
                    "RoutePropagated": True,
                }
                for one in cloud.ecr.association_of(vpc_id)
            ]
            return {
                **_vpc_row(account, vpc),
                "AssociatedPropagationSources": {"AssociatedPropagationSources": sources},
            }
    raise CloudError(404, "InvalidVpcId.NotFound", "Specified VPC does not exist.")


def _vbrs(cloud: Cloud, call: Call, account: Account) -> dict[str, Any]:
    fields: dict[str, Callable[[Vbr], str]] = {
        "VbrId": lambda vbr: vbr.id,
        "Status": lambda vbr: vbr.status,
        "Name": lambda vbr: vbr.name,
    }
    found = [vbr for vbr in account.vbrs if vbr.region == call.params["RegionId"]]
    for key, values in _filters(call):
        if key in fields:
            found = [vbr for vbr in found if fields[key](vbr) in values]
        elif key not in ("PhysicalConnectionId", "AccessPointId", "eccId", "type"):
            raise CloudError(400, "InvalidFilterKey.ValueNotSupported", f"No filter key {key}.")
    rows, paging = _numbered(call, found)
    shown = [_vbr_row(cloud, call, vbr) for vbr in rows]
    return {**paging, "VirtualBorderRouterSet": {"VirtualBorderRouterType": shown}}


def _vbr_row(cloud: Cloud, call: Call, vbr: Vbr) -> dict[str, Any]:
    attached = {"EcrId": "", "EcrOwnerId": "", "EcrAttatchStatus": ""}
    words = {"CREATING": "Attaching", "ACTIVE": "Attached", "DELETING": "Detaching"}
    for one in cloud.ecr.association_of(vbr.id):
        attached = {
            "EcrId": one.subject.ecr_id,
            "EcrOwnerId": one.subject.ecr_owner_uid,
            "EcrAttatchStatus": words[one.status(call.now)],
        }
    return {"VbrId": vbr.id, "Name": vbr.name, "Status": vbr.status, **attached}


def _vpc_rules(cloud: Cloud, call: Call, account: Account) -> dict[str, Any]:
    """DescribeVpcGrantRulesToEcr: times in milliseconds, the count a string."""
    params = call.params
    size = _number(call, "MaxResults", _RULES_LIMIT, _RULES_LIMIT)
    token = params.get("NextToken") or "0"
    if not token.isdigit():
        raise CloudError(400, "InvalidNextToken", "The NextToken is not valid.")
    kind = params.get("InstanceType") or "VPC"
    found = [
        grant
        for grant in cloud.ecr.shown_grants(instance_id=params.get("InstanceId") or None)
        if grant.instance_owner_uid == account.uid
        and grant.subject.instance_region_id == params["RegionId"]
        and grant.subject.instance_type == kind
        and params.get("EcrInstanceId") in (None, "", grant.subject.ecr_id)
        and params.get("EcrOwnerId") in (None, "", grant.subject.ecr_owner_uid)
    ]
    start = int(token)
    rows = [
        {
            "EcrId": grant.subject.ecr_id,
            "EcrOwnerId": int(grant.subject.ecr_owner_uid),
            "InstanceId": grant.subject.instance_id,
            "InstanceUid": int(grant.instance_owner_uid),
            "RegionNo": grant.subject.instance_region_id,
            "Type": grant.subject.instance_type,
            "CreationTime": str(int(grant.created_at * 1000)),
        }
        for grant in found[start : start + size]
    ]
    after = str(start + size) if start + size < len(found) else ""
    return {"TotalCount": str(len(found)), "NextToken": after, "GrantRuleModels": rows}


def _vbr_rules(cloud: Cloud, call: Call, account: Account) -> dict[str, Any]:
    """DescribeGrantRulesToEcr: one VBR, times in ISO 8601, the VBR not named in the rows."""
    vbr_id = _required(call, "InstanceId")
    found = [
        grant
        for grant in cloud.ecr.shown_grants(instance_id=vbr_id)
        if grant.instance_owner_uid == account.uid
        and grant.subject.instance_region_id == call.params["RegionId"]
    ]
    rows, paging = _numbered(call, found)
    shown = [
        {
            "EcrInstanceId": grant.subject.ecr_id,
            "EcrUid": int(grant.subject.ecr_owner_uid),
            "CreateTime": iso(grant.created_at),
        }
        for grant in rows
    ]
    return {**paging, "Count": len(shown), "EcrGrantRules": shown}


def _region(cloud: Cloud, call: Call) -> None:
    region = _required(call, "RegionId")
    if region not in cloud.world.regions:
        raise CloudError(404, "InvalidRegionId.NotFound", "The specified region does not exist.")


def _required(call: Call, name: str) -> str:
    value = call.params.get(name, "")
    if not value:
        raise CloudError(400, f"Missing{name}", f"The parameter {name} is mandatory.")
    return value


def _number(call: Call, name: str, default: int, most: int) -> int:
    value = call.params.get(name) or str(default)
    if not value.isdigit() or not 1 <= int(value) <= most:
        raise CloudError(400, f"Invalid{name}", f"{name} is a whole number from 1 to {most}.")
    return int(value)


def _numbered(call: Call, rows: list[Any]) -> tuple[list[Any], dict[str, int]]:
    page = _number(call, "PageNumber", 1, 2**31 - 1)
    size = _number(call, "PageSize", 10, _PAGE_LIMIT)
    shown = rows[(page - 1) * size : page * size]
    return shown, {"TotalCount": len(rows), "PageNumber": page, "PageSize": size}


def _filters(call: Call) -> list[tuple[str, list[str]]]:
    filters = []
    for number in range(1, _FILTERS_LIMIT + 1):
        key = call.params.get(f"Filter.{number}.Key")
        if key is not None:
            prefix = f"Filter.{number}.Value."
            values = [value for name, value in call.params.items() if name.startswith(prefix)]
            filters.append((key, values))
    return filters


def _dry_run(call: Call) -> None:
    if call.params.get("DryRun", "").lower() == "true":
        raise CloudError(400, "DryRunOperation", "Request validation has been passed.")
