"""Every answer of the cloud, the broken ones too, is one of three failures; and tells no secret."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from localcloud import worldfile
from localcloud.behaviour import Fault
from localcloud.server import LocalCloud
from shared.cloud.credentials import Credentials, NoCredentials, from_environment
from shared.cloud.endpoints import BadEndpoint, endpoint
from shared.cloud.errors import CloudFailure, NotNow, OutcomeUnknown, Refused, explain, failure
from shared.cloud.router import Router
from shared.cloud.sessions import POLICY_LIMIT, Role, Sessions, session_name, session_policy
from shared.contract import AuthorizationId
from shared.external_ids import external_id

ROOT = Path(__file__).parents[2]
KEY = SecretStr("demo-external-id-key-demo-external-id-key")
A, B = "1000200030004000", "2000300040005000"
OF = AuthorizationId(
    ecr_id="ecr-hz7core4qk2m1",
    ecr_owner_uid=A,
    instance_id="vpc-bp1payments0main",
    instance_type="VPC",
    instance_region_id="cn-hangzhou",
    instance_owner_uid=B,
)
VBR = OF.model_copy(
    update={
        "instance_id": "vbr-bp1factory0line1",
        "instance_type": "VBR",
        "instance_owner_uid": "3000400050006000",
    }
)
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def local():
    with LocalCloud(worldfile.load(ROOT / "demo" / "world.yaml")) as running:
        yield running


def session_of(local, role):
    given = local.cloud.identity.service_session(
        f"acs:ram::{A}:role/{role}", "fc.aliyuncs.com", "test", 3600
    )
    return Credentials(given.access_key_id, SecretStr(given.secret), SecretStr(given.token))


@pytest.fixture
def sessions(local):
    own = session_of(local, "ecr-authorize")
    return Sessions(lambda: own, local.url, "cn-hangzhou", lambda: datetime.now(timezone.utc))


def role(uid=B, **changes):
    arn = f"acs:ram::{uid}:role/ecr-authorization"
    return Role(**{"arn": arn, "external_id": external_id(KEY, uid), **changes})


def grant(local, sessions):
    credentials = sessions.assume(role(), session_policy(OF, "grant"), "authorize-CHG-1")
    Router(local.url, "cn-hangzhou").grant(credentials, OF, "token-1")


# The answers ------------------------------------------------------------------------------------

GRANT = "GrantInstanceToExpressConnectRouter"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "cut"}, OutcomeUnknown),
        ({"kind": "cut", "when": "after"}, OutcomeUnknown),
        ({"kind": "html"}, OutcomeUnknown),
        ({"kind": "error", "status": 503, "code": "ServiceUnavailable"}, OutcomeUnknown),
        ({"kind": "error", "status": 500, "code": "InternalError"}, OutcomeUnknown),
        ({"kind": "error", "status": 400, "code": "Never.Heard.Of"}, OutcomeUnknown),
        ({"kind": "error", "status": 400, "code": "Conflict.Lock"}, NotNow),
        ({"kind": "error", "status": 403, "code": "Forbidden.RAM"}, Refused),
        ({"kind": "throttle"}, NotNow),
    ],
    ids=lambda value: "-".join(str(one) for one in value.values()) if type(value) is dict else "",
)
def test_every_answer_is_one_of_three_failures_and_is_asked_for_once(local, sessions, fault, kind):
    local.cloud.behaviour.order(Fault(product="ecr", action=GRANT, times=-1, **fault))
    with pytest.raises(CloudFailure) as raised:
        grant(local, sessions)
    assert type(raised.value) is kind
    asked = [entry for entry in local.cloud.journal if entry.action == GRANT]
    assert len(asked) == 1


def test_an_error_inside_http_200_is_an_error(local, sessions):
    local.cloud.behaviour.switches.errors_in_http_200 = True
    local.cloud.behaviour.switches.grant_of_unknown_instance = "error"
    nobody = OF.model_copy(update={"instance_id": "vpc-bp1nobody0here"})
    credentials = sessions.assume(role(), session_policy(nobody, "grant"), "authorize-CHG-1")
    with pytest.raises(Refused) as refused:
        Router(local.url, "cn-hangzhou").grant(credentials, nobody, "token-1")
    assert refused.value.cloud_code == "IllegalParam.InstanceId"
    assert refused.value.status == 200


def test_the_clouds_hint_at_when_to_come_again_is_passed_on(local, sessions):
    local.cloud.behaviour.order(Fault(product="ecr", action=GRANT, kind="throttle", status=429))
    with pytest.raises(NotNow) as throttled:
        grant(local, sessions)
    assert throttled.value.retry_after is not None
    assert 0 < throttled.value.retry_after <= 60


def test_a_failure_names_the_clouds_request_id_and_no_secret(local, sessions):
    wrong = Role(role().arn, SecretStr("not-the-external-id"))
    with pytest.raises(Refused) as refused:
        sessions.assume(wrong, session_policy(OF, "grant"), "authorize-CHG-1")
    assert refused.value.explanation.code == "access_denied"
    assert refused.value.request_id
    text = f"{refused.value} {refused.value!r} {refused.value.__dict__}"
    assert "not-the-external-id" not in text
    assert refused.value.__cause__ is None


# The taxonomy -------------------------------------------------------------------------------------


@given(st.text(max_size=60))
def test_a_code_that_nobody_knows_is_an_unknown_outcome(code):
    known = explain(code)
    if known.code == "unknown_answer":
        expected = Refused if "NotFound" in code else OutcomeUnknown
        assert type(failure(code)) is expected


@pytest.mark.parametrize(
    ("code", "kind", "name"),
    [
        ("Conflict.Lock", NotNow, "ecr_busy"),
        ("Throttling", NotNow, "throttled"),
        ("Throttling.User", NotNow, "throttled"),
        ("Throttling.Api", NotNow, "throttled"),
        ("QuotaExceeded.EcrAssociation", Refused, "quota_exceeded"),
        ("OperationDenied.CrossBidAssociating", Refused, "cross_entity"),
        ("EntityNotExist.Role", Refused, "role_not_found"),
        ("InvalidAccessKeyId.NotFound", Refused, "access_denied"),
        ("InternalError", OutcomeUnknown, "cloud_unavailable"),
        ("Timeout", OutcomeUnknown, "unknown_answer"),
    ],
)
def test_codes_are_classified_and_explained_once(code, kind, name):
    assert type(failure(code)) is kind
    assert explain(code).code == name
    assert explain(code).remedy.endswith((".", "."))


# Sessions -----------------------------------------------------------------------------------------


def test_a_session_can_do_one_action_on_one_instance():
    policy = json.loads(session_policy(OF, "grant"))
    assert policy["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "expressconnectrouter:GrantInstanceToExpressConnectRouter",
            "Resource": [f"acs:vpc:cn-hangzhou:{B}:vpc/vpc-bp1payments0main"],
        }
    ]


def test_a_vbr_is_named_in_both_of_its_documented_forms():
    (statement,) = json.loads(session_policy(VBR, "revoke"))["Statement"]
    assert statement["Resource"] == [
        "acs:expressconnect:cn-hangzhou:3000400050006000:virtualborderrouter/vbr-bp1factory0line1",
        "acs:vpc:cn-hangzhou:3000400050006000:virtualborderrouter/vbr-bp1factory0line1",
    ]


def test_a_session_policy_longer_than_sts_takes_is_not_sent():
    long = OF.model_copy(update={"instance_id": "vpc-" + "x" * POLICY_LIMIT})
    with pytest.raises(ValueError, match="2048"):
        session_policy(long, "grant")


@given(st.text())
def test_any_ticket_gives_a_session_name_that_sts_takes(ticket):
    name = session_name("authorize", ticket)
    assert 2 <= len(name) <= 64
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.@_-")


def assumed(local):
    return [entry.action for entry in local.cloud.journal].count("AssumeRole")


def test_credentials_are_reused_for_the_same_policy_alone(local, sessions):
    first = sessions.assume(role(), session_policy(OF, "grant"), "authorize-CHG-1")
    assert sessions.assume(role(), session_policy(OF, "grant"), "authorize-CHG-1") is first
    assert assumed(local) == 1
    sessions.assume(role(), session_policy(OF, "revoke"), "authorize-CHG-1")
    sessions.assume(role(), session_policy(OF, "grant"), "authorize-CHG-2")
    assert assumed(local) == 3


def test_credentials_are_renewed_shortly_before_they_end(local):
    own = session_of(local, "ecr-authorize")
    now = [datetime.now(timezone.utc)]
    sessions = Sessions(lambda: own, local.url, "cn-hangzhou", lambda: now[0])
    sessions.assume(role(), session_policy(OF, "grant"), "authorize-CHG-1")
    now[0] += timedelta(seconds=900 - 70)
    sessions.assume(role(), session_policy(OF, "grant"), "authorize-CHG-1")
    assert assumed(local) == 1
    now[0] += timedelta(seconds=20)
    sessions.assume(role(), session_policy(OF, "grant"), "authorize-CHG-1")
    assert assumed(local) == 2


def test_no_role_is_assumed_without_a_session_policy(local, sessions):
    with pytest.raises(ValueError, match="session policy"):
        sessions.assume(role(), "", "authorize-CHG-1")
    assert assumed(local) == 0


# Endpoints and the function's own credentials -----------------------------------------------------


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("EXPRESSCONNECTROUTER", "https://expressconnectrouter.cn-shanghai.aliyuncs.com"),
        ("STS", "https://sts.ap-southeast-1.aliyuncs.com"),
        ("MNS", f"https://{A}.mns.ap-southeast-1.aliyuncs.com"),
    ],
)
def test_endpoints_come_from_a_table(service, url):
    assert endpoint(service, {}, region="ap-southeast-1", account=A) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://sts.example.com",
        "http://10.0.0.1:80",
        "http://169.254.169.254",
        "ftp://127.0.0.1",
        "127.0.0.1:80",
        "https://user:password@sts.aliyuncs.com",
        "http://127.0.0.1.example.com",
    ],
)
def test_an_override_that_would_send_secrets_anywhere_is_refused(url):
    with pytest.raises(BadEndpoint):
        endpoint("STS", {"ALIBABA_CLOUD_ENDPOINT_STS": url}, region="cn-hangzhou", account=A)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1"])
def test_an_override_to_this_machine_may_be_plain(url):
    environ = {"ALIBABA_CLOUD_ENDPOINT_STS": url}
    assert endpoint("STS", environ, region="cn-hangzhou", account=A) == url


def test_credentials_come_from_the_context_first_and_hide_themselves():
    class Given:
        access_key_id, access_key_secret, security_token = "id", "s3cret-of-context", "t0ken"

    class Context:
        credentials = Given

    environ = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "other",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cret-of-environment",
    }
    assert from_environment(environ, Context).access_key_id == "id"
    assert from_environment(environ, None).access_key_id == "other"
    shown = repr(from_environment(environ, Context)) + repr(from_environment(environ, None))
    assert "s3cret" not in shown
    assert "t0ken" not in shown
    with pytest.raises(NoCredentials, match=r"role in s\.yaml"):
        from_environment({}, None)
