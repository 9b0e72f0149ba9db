"""Express Connect Router as the stand-in imitates it, called with the official SDKs."""

from __future__ import annotations

import pytest
from alibabacloud_expressconnectrouter20230901 import models as ecr
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_vpc20160428 import models as vpc

from localcloud.ecr.state import Subject
from tests.localcloud.conftest import ECR, FACTORY, VPC, A, B

VBR = "vbr-bp1factory0line1"


@pytest.fixture
def api(sdk):
    return Api(sdk)


class Api:
    """The calls of both accounts, each with good parameters unless told otherwise."""

    def __init__(self, sdk):
        self.sdk = sdk
        self.switches = sdk.cloud.behaviour.switches
        self.a = sdk.as_root("ecr", A)
        self.b = sdk.as_root("ecr", B)
        self.factory = sdk.as_root("ecr", FACTORY)

    def _instance(self, **changes):
        return {
            "ecr_id": ECR,
            "ecr_owner_ali_uid": int(A),
            "instance_id": VPC,
            "instance_region_id": "cn-hangzhou",
            "instance_type": "VPC",
            **changes,
        }

    def grant(self, client=None, **changes):
        request = ecr.GrantInstanceToExpressConnectRouterRequest(**self._instance(**changes))
        return (client or self.b).grant_instance_to_express_connect_router(request).body

    def revoke(self, client=None, **changes):
        request = ecr.RevokeInstanceFromExpressConnectRouterRequest(**self._instance(**changes))
        return (client or self.b).revoke_instance_from_express_connect_router(request).body

    def associate(self, **changes):
        request = ecr.CreateExpressConnectRouterAssociationRequest(
            **{
                "ecr_id": ECR,
                "association_region_id": "cn-hangzhou",
                "vpc_id": VPC,
                "vpc_owner_id": int(B),
                **changes,
            }
        )
        return self.a.create_express_connect_router_association(request).body

    def dissociate(self, association_id, **changes):
        request = ecr.DeleteExpressConnectRouterAssociationRequest(
            ecr_id=ECR, association_id=association_id, **changes
        )
        return self.a.delete_express_connect_router_association(request).body

    def associations(self, **changes):
        request = ecr.DescribeExpressConnectRouterAssociationRequest(ecr_id=ECR, **changes)
        return self.a.describe_express_connect_router_association(request).body

    def attach(self, **changes):
        request = ecr.AttachExpressConnectRouterChildInstanceRequest(
            **{
                "ecr_id": ECR,
                "child_instance_id": VBR,
                "child_instance_type": "VBR",
                "child_instance_region_id": "cn-hangzhou",
                "child_instance_owner_id": int(FACTORY),
                **changes,
            }
        )
        return self.a.attach_express_connect_router_child_instance(request).body

    def grant_vbr(self):
        return self.grant(self.factory, instance_id=VBR, instance_type="VBR")

    def granted(self, client=None, **changes):
        request = ecr.DescribeInstanceGrantedToExpressConnectRouterRequest(ecr_id=ECR, **changes)
        client = client or self.a
        return client.describe_instance_granted_to_express_connect_router(request).body


def code_of(call, *arguments, **named):
    with pytest.raises(AlibabaCloudException) as refused:
        call(*arguments, **named)
    return refused.value.code


def test_a_granted_vpc_can_be_associated_and_becomes_active_with_time(api, clock):
    assert api.grant().success
    association = api.associate().association_id
    assert [one.status for one in api.associations().association_list] == ["CREATING"]
    clock.advance(1)
    (row,) = api.associations(vpc_id=VPC).association_list
    assert (row.status, row.association_id, row.vpc_owner_id) == ("ACTIVE", association, int(B))
    api.dissociate(association)
    assert [one.status for one in api.associations().association_list] == ["DELETING"]
    clock.advance(1)
    assert api.associations().association_list == []
    assert code_of(api.dissociate, association) == "ResourceNotFound.AssociationId"


def test_a_vbr_is_attached_and_account_b_sees_it(api, sdk, clock):
    api.grant_vbr()
    assert api.attach().success
    clock.advance(1)
    request = ecr.DescribeExpressConnectRouterChildInstanceRequest(ecr_id=ECR)
    (row,) = api.a.describe_express_connect_router_child_instance(request).body.child_instance_list
    assert (row.child_instance_id, row.status) == (VBR, "ACTIVE")
    filters = [vpc.DescribeVirtualBorderRoutersRequestFilter(key="VbrId", value=[VBR])]
    found = sdk.as_root("vpc", FACTORY).describe_virtual_border_routers(
        vpc.DescribeVirtualBorderRoutersRequest(region_id="cn-hangzhou", filter=filters)
    )
    (seen,) = found.body.virtual_border_router_set.virtual_border_router_type
    assert (seen.ecr_id, seen.ecr_attatch_status) == (ECR, "Attached")
    detach = ecr.DetachExpressConnectRouterChildInstanceRequest(
        ecr_id=ECR, child_instance_id=VBR, child_instance_type="VBR"
    )
    api.a.detach_express_connect_router_child_instance(detach)
    clock.advance(1)
    assert code_of(api.a.detach_express_connect_router_child_instance, detach) == (
        "ResourceNotFound.ChildInstanceId"
    )


def test_without_a_grant_nothing_is_associated(api):
    assert code_of(api.associate) == "OperationDenied.NotGrantedByNodeOwner"
    assert code_of(api.attach) == "OperationDenied.NotGrantedByNodeOwner"


def test_an_ecr_takes_one_operation_at_a_time(api, clock):
    api.grant()
    api.grant(instance_id="vpc-bp1payments0test")
    api.associate()
    second = {"vpc_id": "vpc-bp1payments0test"}
    assert code_of(api.associate, **second) == "Conflict.Lock"
    assert code_of(api.grant) == "Conflict.Lock"
    clock.advance(1)
    api.associate(**second)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ecr_id": None}, "MissingParam.EcrId"),
        ({"ecr_id": "nonsense"}, "IllegalParamFormat.EcrId"),
        ({"ecr_id": "ecr-nobody"}, "ResourceNotFound.EcrId"),
        ({"ecr_owner_ali_uid": int(B)}, "IllegalParam.EcrOwnerAliUid"),
        ({"ecr_owner_ali_uid": 7}, "IllegalParamFormat.EcrOwnerAliUid"),
        ({"instance_type": "TR"}, "IllegalParam.InstanceType"),
        ({"instance_id": "vpc-nobody"}, "IllegalParam.InstanceId"),
        ({"instance_region_id": "mars-1"}, "IllegalParamFormat.InstanceRegionId"),
        ({"instance_region_id": "eu-west-1"}, "UnsupportedRegion"),
        ({"instance_region_id": "cn-shanghai"}, "IllegalParam.InstanceId"),
        ({"client_token": "x" * 65}, "IllegalParamFormat.ClientToken"),
        ({"client_token": "é"}, "IllegalParamFormat.ClientToken"),
    ],
)
def test_a_grant_with_a_bad_parameter_is_refused(api, changes, code):
    assert code_of(api.grant, **changes) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"vpc_owner_id": None}, "OperationFailed.RejectedByVpcYaochi"),
        ({"transit_router_id": "tr-1"}, "ExclusiveParam.TransitRouterIdAndVpcId"),
        ({"allowed_prefixes_mode": "Maybe"}, "IllegalParamFormat.AllowedPrefixesMode"),
        ({"description": "x" * 129}, "IllegalParamFormat.Description"),
        ({"ecr_id": "ecr-nobody"}, "ResourceNotFound.EcrId"),
    ],
)
def test_an_association_with_a_bad_parameter_is_refused(api, changes, code):
    api.grant()
    assert code_of(api.associate, **changes) == code


def test_what_the_world_says_of_an_instance_is_refused_as_the_cloud_refuses_it(api, world):
    api.grant_vbr()
    _, vbr = world.vbr(VBR)
    vbr.mpbgp = False
    assert code_of(api.attach) == "OperationDenied.VbrDoesNotSupportMpbgp"
    vbr.mpbgp, vbr.asn = True, 65000
    assert code_of(api.attach) == "Conflict.ASNOfVBR"
    api.grant()
    _, router = world.ecr(ECR)
    router.vpc_quota = 0
    assert code_of(api.associate) == "QuotaExceeded.VpcCountPerEcr"
    router.status = "UPDATING"
    assert code_of(api.associate) == "IncorrectStatus.Ecr"


def test_accounts_of_two_enterprises_are_kept_apart(api, world):
    world.account(B).enterprise = "another"
    api.grant()
    assert code_of(api.associate) == "OperationDenied.CrossBidAssociating"


def test_a_static_route_keeps_an_association(api, world, clock):
    api.grant()
    association = api.associate().association_id
    clock.advance(1)
    world.vpc(VPC)[1].static_route_to_ecr = True
    assert code_of(api.dissociate, association) == "OperationFailed.UsedInRouteEntryNextHop"


def test_a_token_is_answered_once_and_spent_after(api, clock):
    api.grant()
    first = api.associate(client_token="t").association_id
    assert api.associate(client_token="t").association_id == first
    clock.advance(1)
    api.dissociate(first)
    clock.advance(1)
    assert api.associate(client_token="t").association_id == first
    assert api.associations().association_list == []
    clock.advance(3600)
    assert api.associate(client_token="t").association_id != first


def test_a_token_is_one_accounts_own(api, sdk):
    api.grant(client_token="t")
    api.grant(api.factory, client_token="t", instance_id="vpc-bp1factory00plc")
    assert len(sdk.cloud.ecr.grants()) == 2


def test_a_refusal_that_passes_does_not_spend_its_token(api, clock):
    api.grant()
    association = api.associate().association_id
    assert code_of(api.dissociate, association, client_token="t") == "Conflict.Lock"
    clock.advance(1)
    assert api.dissociate(association, client_token="t").success
    assert api.associations().association_list[0].status == "DELETING"


def test_a_token_with_other_parameters_by_switch(api):
    api.grant(client_token="t")
    other = {"client_token": "t", "instance_id": "vpc-bp1payments0test"}
    assert api.grant(**other).success
    api.switches.token_reuse = "mismatch_is_error"
    assert code_of(api.grant, **other) == "IdempotentParameterMismatch"


def test_a_dry_run_checks_all_and_does_nothing(api, sdk):
    assert code_of(api.grant, dry_run=True) == "DryRunOperation"
    assert code_of(api.grant, dry_run=True, ecr_id="ecr-nobody") == "ResourceNotFound.EcrId"
    api.switches.dry_run_answer = "success"
    assert api.grant(dry_run=True).success
    assert sdk.cloud.ecr.grants() == []


def test_account_a_lists_what_it_was_granted_page_by_page(api, sdk):
    for number in range(5):
        sdk.cloud.ecr.grant(api_subject(f"vpc-number{number}"), B)
    found, token = [], None
    for _ in range(3):
        body = api.granted(max_results=2, next_token=token)
        found += [one.node_id for one in body.ecr_granted_instance_list]
        token = body.next_token
        assert body.total_count == 5
    assert found == [f"vpc-number{number}" for number in range(5)]
    assert not token
    row = api.granted(instance_id="vpc-number3").ecr_granted_instance_list[0]
    assert row.gmt_create.isdigit()
    assert (row.ecr_owner_ali_uid, row.node_owner_uid, row.status) == (A, int(B), "Active")


def api_subject(vpc_id):
    return Subject(ECR, A, vpc_id, "VPC", "cn-hangzhou")


def test_account_b_lists_only_its_own(api):
    api.grant()
    api.grant(api.factory, instance_id="vpc-bp1factory00plc")
    assert len(api.granted().ecr_granted_instance_list) == 2
    body = api.granted(api.b, caller_type="OTHER")
    assert [one.node_id for one in body.ecr_granted_instance_list] == [VPC]
    assert code_of(api.granted, api.b) == "ResourceNotFound.EcrId"


def test_the_vpc_api_shows_the_grants_in_its_own_words(api, sdk):
    api.grant()
    api.grant_vbr()
    of_b, of_factory = sdk.as_root("vpc", B), sdk.as_root("vpc", FACTORY)
    body = of_b.describe_vpc_grant_rules_to_ecr(
        vpc.DescribeVpcGrantRulesToEcrRequest(region_id="cn-hangzhou", instance_id=VPC)
    ).body
    assert body.total_count == "1"
    (rule,) = body.grant_rule_models
    assert (rule.ecr_id, rule.ecr_owner_id, rule.type) == (ECR, int(A), "VPC")
    assert rule.creation_time.isdigit()
    body = of_factory.describe_grant_rules_to_ecr(
        vpc.DescribeGrantRulesToEcrRequest(region_id="cn-hangzhou", instance_id=VBR)
    ).body
    (rule,) = body.ecr_grant_rules
    assert (rule.ecr_instance_id, rule.ecr_uid) == (ECR, int(A))
    assert rule.create_time.endswith("Z")


def test_the_vpc_api_describes_vpcs_and_refuses_what_it_does_not_know(sdk, api, clock):
    client = sdk.as_root("vpc", B)
    body = client.describe_vpcs(vpc.DescribeVpcsRequest(region_id="cn-hangzhou", page_size=1)).body
    assert (body.total_count, len(body.vpcs.vpc)) == (2, 1)
    api.grant()
    api.associate()
    clock.advance(1)
    one = client.describe_vpc_attribute(
        vpc.DescribeVpcAttributeRequest(region_id="cn-hangzhou", vpc_id=VPC)
    ).body
    sources = one.associated_propagation_sources.associated_propagation_sources
    assert [source.source_instance_id for source in sources] == [ECR]
    missing = vpc.DescribeVpcAttributeRequest(region_id="cn-hangzhou", vpc_id="vpc-nobody")
    assert code_of(client.describe_vpc_attribute, missing) == "InvalidVpcId.NotFound"
    elsewhere = vpc.DescribeVpcsRequest(region_id="mars")
    assert code_of(client.describe_vpcs, elsewhere) == "InvalidRegionId.NotFound"


def test_an_ecr_that_is_gone_is_an_empty_list(api, sdk):
    request = ecr.DescribeExpressConnectRouterRequest(ecr_id=ECR)
    assert len(api.a.describe_express_connect_router(request).body.ecr_list) == 1
    sdk.cloud.ecr.delete_ecr(ECR)
    assert api.a.describe_express_connect_router(request).body.ecr_list == []


# Switches --------------------------------------------------------------------------------------


def test_granting_twice_by_switch(api):
    api.grant()
    assert api.grant().success
    api.switches.grant_twice = "error"
    assert code_of(api.grant) == "IllegalParam.InstanceId"


@pytest.mark.parametrize(
    ("value", "code"),
    [("not_found", "ResourceNotFound.GrantInstance"), ("error", "IllegalParam.InstanceId")],
)
def test_revoking_twice_by_switch(api, value, code):
    assert api.revoke().success
    api.switches.revoke_twice = value
    assert code_of(api.revoke) == code


@pytest.mark.parametrize(
    ("value", "granted", "associated"),
    [("refused", 1, 1), ("association_stays", 0, 1), ("association_dropped", 0, 0)],
)
def test_revoking_while_attached_by_switch(api, sdk, clock, value, granted, associated):
    api.switches.revoke_while_attached = value
    api.grant()
    api.associate()
    clock.advance(1)
    if value == "refused":
        assert code_of(api.revoke) == "IncorrectStatus.EcrAssociation"
    else:
        api.revoke()
    clock.advance(1)
    assert len(sdk.cloud.ecr.grants()) == granted
    assert len(sdk.cloud.ecr.associations()) == associated


def test_errors_inside_http_200_by_switch(api):
    api.switches.errors_in_http_200 = True
    body = api.grant(ecr_id="ecr-nobody")
    assert (body.success, body.code) == (False, "ResourceNotFound.EcrId")


def test_a_grant_of_an_unknown_instance_by_switch(api):
    api.switches.grant_of_unknown_instance = "success"
    assert api.grant(instance_id="vpc-nobody").success


@pytest.mark.parametrize("value", ["rejected", "incorrect_status", "accepted"])
def test_associating_twice_by_switch(api, sdk, clock, value):
    api.switches.associate_twice = value
    api.grant()
    api.associate()
    clock.advance(1)
    if value == "accepted":
        api.associate()
        assert len(sdk.cloud.ecr.associations()) == 2
    else:
        code = {
            "rejected": "OperationFailed.RejectedByVpcYaochi",
            "incorrect_status": "IncorrectStatus.EcrAssociation",
        }[value]
        assert code_of(api.associate) == code


def test_a_grant_and_its_end_are_seen_late_by_switch(api, clock):
    api.switches.grant_visible_after_seconds = 5
    api.grant()
    assert api.granted().ecr_granted_instance_list == []
    assert code_of(api.associate) == "OperationDenied.NotGrantedByNodeOwner"
    clock.advance(5)
    assert len(api.granted().ecr_granted_instance_list) == 1
    api.revoke()
    assert len(api.granted().ecr_granted_instance_list) == 1
    clock.advance(5)
    assert api.granted().ecr_granted_instance_list == []


def test_the_ecrs_lock_and_grants_by_switch(api):
    api.switches.grant_takes_ecr_lock = False
    api.grant()
    api.associate()
    assert api.grant(instance_id="vpc-bp1payments0test").success


@pytest.mark.parametrize("at", ["grant", "attach"])
def test_a_vbr_without_enablement_is_refused_where_the_switch_says(api, world, at):
    api.switches.vbr_refused_at = at
    world.account(FACTORY).cross_account_vbr = False
    if at == "grant":
        assert code_of(api.grant_vbr) == "OperationDenied.CrossBidAssociating"
    else:
        api.grant_vbr()
        assert code_of(api.attach) == "OperationDenied.CrossBidAssociating"


def test_a_listing_needs_the_arn_that_the_switch_says(api, sdk, world):
    policy = {
        "Version": "1",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "expressconnectrouter:Describe*",
                "Resource": f"acs:expressconnectrouter:*:{B}:*",
            }
        ],
    }
    world.account(B).roles[0].policies.append(policy)
    session = sdk.cloud.identity.issue(f"acs:ram::{B}:role/ecr-authorization", "t", 900, None)
    client = sdk.with_key("ecr", session.access_key_id, session.secret, session.token)
    assert api.granted(client, caller_type="OTHER").success
    api.switches.listing_needs_arn_of = "ecr_owner"
    assert code_of(api.granted, client, caller_type="OTHER") == "NoPermission"
