"""The stand-in refuses what the cloud refuses: signatures, dates, trust, permissions."""

from __future__ import annotations

import hashlib
import json
import secrets

import pytest
import requests
from alibabacloud_expressconnectrouter20230901 import models as ecr
from alibabacloud_sts20150401 import models as sts
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_vpc20160428 import models as vpc
from darabonba.runtime import RuntimeOptions
from hypothesis import given
from hypothesis import strategies as st

from localcloud import signatures
from localcloud.call import CloudError
from tests.localcloud.conftest import ECR, VPC, A, B

AUTHORIZE = f"acs:ram::{A}:role/ecr-authorize"
ROLE_OF_B = f"acs:ram::{B}:role/ecr-authorization"
OPTIONS = RuntimeOptions()


def code_of(call, *arguments):
    with pytest.raises(AlibabaCloudException) as refused:
        call(*arguments)
    return refused.value.code, refused.value.status_code


def external_id(sdk):
    trust = sdk.cloud.identity.role(ROLE_OF_B).trust
    return trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"][0]


def assume(sdk, client=None, **changes):
    asked = {
        "role_arn": ROLE_OF_B,
        "role_session_name": "test",
        "external_id": external_id(sdk),
        "duration_seconds": 900,
        **changes,
    }
    client = client or sdk.as_role("sts", AUTHORIZE)
    return client.assume_role_with_options(sts.AssumeRoleRequest(**asked), OPTIONS)


def grant_request(**changes):
    return ecr.GrantInstanceToExpressConnectRouterRequest(
        **{
            "ecr_id": ECR,
            "ecr_owner_ali_uid": int(A),
            "instance_id": VPC,
            "instance_region_id": "cn-hangzhou",
            "instance_type": "VPC",
            **changes,
        }
    )


def session_of_b(sdk, policy=None):
    body = assume(sdk, policy=json.dumps(policy) if policy else None).body.credentials
    return sdk.with_key("ecr", body.access_key_id, body.access_key_secret, body.security_token)


def test_a_call_with_a_wrong_secret(sdk):
    key, _ = sdk.cloud.identity.root_key(B)
    client = sdk.with_key("sts", key, "wrong")
    assert code_of(client.get_caller_identity) == ("SignatureDoesNotMatch", 403)


def test_a_call_with_a_key_that_nobody_has(sdk):
    client = sdk.with_key("sts", "LTAInobody", "x")
    assert code_of(client.get_caller_identity) == ("InvalidAccessKeyId.NotFound", 404)


def test_a_call_whose_date_is_more_than_fifteen_minutes_off(sdk):
    sdk.cloud.signing_time = lambda: __import__("time").time() + 901
    client = sdk.as_root("sts", B)
    assert code_of(client.get_caller_identity) == ("InvalidTimeStamp.Expired", 400)


def test_a_call_that_is_sent_twice(sdk):
    sent = []
    adapter = requests.Session()
    original = adapter.send

    def send(request, **options):
        sent.append(request.copy())
        return original(request, **options)

    adapter.send = send
    signed = signed_request(sdk)
    assert adapter.send(signed.prepare()).status_code == 200
    again = adapter.send(sent[0])
    assert (again.status_code, again.json()["Code"]) == (400, "SignatureNonceUsed")


def signed_request(sdk, **changes):
    """GetCallerIdentity, signed here by hand."""
    key, secret = sdk.cloud.identity.root_key(B)
    headers = {
        "host": sdk.local.endpoint,
        "x-acs-action": "GetCallerIdentity",
        "x-acs-version": "2015-04-01",
        "x-acs-date": __import__("time").strftime(
            "%Y-%m-%dT%H:%M:%SZ", __import__("time").gmtime()
        ),
        "x-acs-signature-nonce": secrets.token_hex(16),
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        **changes,
    }
    headers["Authorization"] = acs3(headers, key, secret)
    return requests.Request("POST", f"{sdk.local.url}/", headers=headers)


def acs3(headers, key, secret, body=b"", query=""):
    names = sorted(headers)
    canonical = "\n".join(
        ["POST", "/", query]
        + [f"{name}:{headers[name]}" for name in names]
        + ["", ";".join(names), hashlib.sha256(body).hexdigest()]
    )
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = __import__("hmac").new(secret.encode(), to_sign.encode(), "sha256").hexdigest()
    return (
        f"ACS3-HMAC-SHA256 Credential={key},SignedHeaders={';'.join(names)},Signature={signature}"
    )


HEADERS = {
    "host": "127.0.0.1:1",
    "x-acs-action": "GrantInstanceToExpressConnectRouter",
    "x-acs-version": "2023-09-01",
    "x-acs-date": "2026-11-23T08:00:00Z",
    "x-acs-signature-nonce": "n",
    "x-acs-content-sha256": hashlib.sha256(b"EcrId=ecr-1&InstanceId=vpc-1").hexdigest(),
}


@given(st.integers(0, 27), st.integers(1, 255))
def test_a_body_of_which_one_byte_was_changed(place, change):
    body = bytearray(b"EcrId=ecr-1&InstanceId=vpc-1")
    signature = acs3(HEADERS, "k", "secret", bytes(body))
    given_headers = {**HEADERS, "authorization": signature}
    good = signatures.Signed("POST", "/", "", given_headers, bytes(body))
    signatures.verify_acs3(good, "secret")
    body[place] ^= change
    with pytest.raises(CloudError):
        signatures.verify_acs3(
            signatures.Signed("POST", "/", "", given_headers, bytes(body)), "secret"
        )


@given(st.sampled_from(sorted(HEADERS)), st.text(st.characters(codec="ascii"), min_size=1))
def test_a_header_that_was_changed_after_it_was_signed(name, value):
    signature = acs3(HEADERS, "k", "secret", b"EcrId=ecr-1&InstanceId=vpc-1")
    changed = {**HEADERS, name: value.strip() + "x", "authorization": signature}
    with pytest.raises(CloudError):
        signatures.verify_acs3(
            signatures.Signed("POST", "/", "", changed, b"EcrId=ecr-1&InstanceId=vpc-1"), "secret"
        )


@pytest.mark.parametrize("wrong", ["wrong-external-id", None])
def test_a_role_assumed_with_a_wrong_external_id_or_none(sdk, wrong):
    assert code_of(lambda: assume(sdk, external_id=wrong)) == ("NoPermission", 403)


def test_a_role_that_does_not_trust_the_caller(sdk):
    client = sdk.as_role("sts", f"acs:ram::{A}:role/ecr-attach")
    assert code_of(lambda: assume(sdk, client)) == ("NoPermission", 403)
    role = sdk.cloud.identity.role(ROLE_OF_B)
    role.trust["Statement"][0]["Principal"]["RAM"] = [f"acs:ram::{A}:role/another"]
    assert code_of(lambda: assume(sdk)) == ("NoPermission", 403)


def test_a_caller_that_may_not_assume(sdk):
    sdk.cloud.identity.role(AUTHORIZE).policies.clear()
    assert code_of(lambda: assume(sdk)) == ("NoPermission", 403)


def test_an_account_that_assumes_a_role_itself(sdk):
    assert code_of(lambda: assume(sdk, sdk.as_root("sts", A)))[0] == "NoPermission"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"role_arn": f"acs:ram::{B}:role/nobody"}, "NoPermission"),
        ({"role_session_name": "x"}, "InvalidParameter.RoleSessionName"),
        ({"role_session_name": "a b"}, "InvalidParameter.RoleSessionName"),
        ({"duration_seconds": 899}, "InvalidParameter.DurationSeconds"),
        ({"duration_seconds": 3601}, "InvalidParameter.DurationSeconds"),
        ({"policy": "{}"}, "InvalidParameter.PolicyGrammar"),
        ({"policy": "x" * 2049}, "InvalidParameter.PolicySize"),
        ({"external_id": "a b"}, "InvalidParameter.ExternalId"),
    ],
)
def test_a_parameter_that_sts_does_not_take(sdk, changes, code):
    assert code_of(lambda: assume(sdk, **changes))[0] == code


def test_a_role_arn_that_is_none(sdk):
    sdk.cloud.identity.role(AUTHORIZE).policies.append(
        {
            "Version": "1",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
        }
    )
    assert code_of(lambda: assume(sdk, role_arn="nonsense"))[0] == "InvalidParameter.RoleArn"
    missing = f"acs:ram::{B}:role/nobody"
    assert code_of(lambda: assume(sdk, role_arn=missing)) == ("EntityNotExist.Role", 404)


def test_an_action_that_the_session_policy_leaves_out(sdk):
    look = {
        "Version": "1",
        "Statement": [
            {"Effect": "Allow", "Action": "vpc:DescribeVpcGrantRulesToEcr", "Resource": "*"}
        ],
    }
    client = session_of_b(sdk, look)
    assert code_of(client.grant_instance_to_express_connect_router, grant_request()) == (
        "NoPermission",
        403,
    )


def test_an_instance_that_the_session_policy_leaves_out(sdk):
    one = {
        "Version": "1",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "expressconnectrouter:*",
                "Resource": f"acs:vpc:cn-hangzhou:{B}:vpc/{VPC}",
            }
        ],
    }
    client = session_of_b(sdk, one)
    client.grant_instance_to_express_connect_router(grant_request())
    other = grant_request(instance_id="vpc-bp1payments0test")
    assert code_of(client.grant_instance_to_express_connect_router, other)[0] == "NoPermission"


def test_a_session_policy_gives_nothing_that_the_role_has_not(sdk):
    all_of_it = {
        "Version": "1",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    body = assume(sdk, policy=json.dumps(all_of_it)).body.credentials
    client = sdk.with_key("vpc", body.access_key_id, body.access_key_secret, body.security_token)
    request = vpc.DescribeVpcsRequest(region_id="cn-hangzhou")
    assert code_of(client.describe_vpcs, request)[0] == "NoPermission"


def test_an_instance_of_another_account(sdk):
    client = session_of_b(sdk)
    other = grant_request(instance_id="vpc-bp1factory00plc")
    assert code_of(client.grant_instance_to_express_connect_router, other)[0] == (
        "IllegalParam.InstanceId"
    )


def test_a_session_whose_time_is_over(sdk, clock):
    client = session_of_b(sdk)
    clock.advance(901)
    assert code_of(client.grant_instance_to_express_connect_router, grant_request()) == (
        "InvalidSecurityToken.Expired",
        403,
    )


def test_a_token_that_is_missing_or_of_another_key(sdk):
    one = assume(sdk).body.credentials
    other = assume(sdk).body.credentials
    for token, code in (
        (None, "MissingSecurityToken"),
        (other.security_token, "InvalidSecurityToken.MismatchWithAccessKey"),
    ):
        client = sdk.with_key("ecr", one.access_key_id, one.access_key_secret, token)
        assert code_of(client.grant_instance_to_express_connect_router, grant_request())[0] == code


def test_a_session_of_a_role_that_is_gone(sdk):
    client = session_of_b(sdk)
    sdk.cloud.world.account(B).roles.clear()
    assert code_of(client.grant_instance_to_express_connect_router, grant_request())[0] == (
        "InvalidAccessKeyId.NotFound"
    )


def test_what_is_refused_by_ram_says_which_action(sdk):
    client = sdk.as_role("ecr", f"acs:ram::{A}:role/ecr-attach")
    with pytest.raises(AlibabaCloudException) as refused:
        client.grant_instance_to_express_connect_router(grant_request())
    detail = refused.value.access_denied_detail
    assert detail["AuthAction"] == "expressconnectrouter:GrantInstanceToExpressConnectRouter"


def test_who_am_i_names_the_session(sdk):
    body = assume(sdk).body
    client = sdk.with_key(
        "sts",
        body.credentials.access_key_id,
        body.credentials.access_key_secret,
        body.credentials.security_token,
    )
    identity = client.get_caller_identity().body
    assert identity.account_id == B
    assert identity.arn == body.assumed_role_user.arn == f"{ROLE_OF_B}/test"


def test_more_writes_than_the_quota_are_throttled_and_a_minute_later_they_are_not(sdk, clock):
    sdk.cloud.behaviour.switches.writes_per_minute = 3
    client = sdk.as_root("ecr", B)
    for _ in range(3):
        client.grant_instance_to_express_connect_router(grant_request())
    assert code_of(client.grant_instance_to_express_connect_router, grant_request()) == (
        "Throttling.User",
        400,
    )
    clock.advance(60)
    client.grant_instance_to_express_connect_router(grant_request())
    sdk.cloud.behaviour.switches.retry_after_header = True
    clock.advance(1)
    for _ in range(2):
        client.grant_instance_to_express_connect_router(grant_request())
    with pytest.raises(AlibabaCloudException) as refused:
        client.grant_instance_to_express_connect_router(grant_request())
    assert refused.value.retry_after >= 1
