"""ROS templates: what is known is done, what is not is refused with its place."""

from __future__ import annotations

import pytest
from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.models import Config, OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from localcloud import worldfile
from localcloud.ros import Template, TemplateError
from localcloud.world import WorldError

UID = "1000200030004000"
GOOD = """\
ROSTemplateFormatVersion: '2015-09-01'
Parameters:
  Who: {Type: String, AllowedPattern: '^[a-z$&{}:A-Z]+$', MaxLength: 40}
  Secret: {Type: String, NoEcho: true, Default: hidden}
Resources:
  Told:
    Type: ALIYUN::MNS::Subscription
    Properties:
      TopicName: {'Fn::GetAtt': [News, TopicName]}
      SubscriptionName: told
      Endpoint: {'Fn::Sub': 'acs:mns:${ALIYUN::Region}:${ALIYUN::TenantId}:queues/${In.QueueName}'}
      NotifyContentFormat: SIMPLIFIED
  News: {Type: 'ALIYUN::MNS::Topic', Properties: {TopicName: news}}
  In:
    Type: ALIYUN::MNS::Queue
    Properties: {QueueName: {'Fn::Join': ['-', [in, queue]]}, VisibilityTimeout: 60}
  Worker:
    Type: ALIYUN::RAM::Role
    DependsOn: In
    Properties:
      RoleName: worker
      Description: {'Fn::Sub': 'for ${Who}, not ${!Who}'}
      AssumeRolePolicyDocument:
        Version: '1'
        Statement:
          - {Effect: Allow, Action: 'sts:AssumeRole', Principal: {Service: [fc.aliyuncs.com]}}
Outputs:
  Arn: {Value: {'Fn::GetAtt': [Worker, Arn]}}
"""


def made(text=GOOD, **given):
    return Template(text, "t.yaml").create(
        {"Who": "me", **given}, account_uid=UID, region="cn-hangzhou", name="s"
    )


def test_a_stack_has_what_its_template_says():
    stack = made()
    assert stack.outputs == {"Arn": f"acs:ram::{UID}:role/worker"}
    assert stack.resources["In"].properties.QueueName == "in-queue"
    told = stack.resources["Told"].properties
    assert told.Endpoint == f"acs:mns:cn-hangzhou:{UID}:queues/in-queue"
    assert stack.parameters == {"Who": "me", "Secret": "******"}


def test_what_a_parameter_holds_is_never_taken_for_a_function():
    stack = made(Who="${ALIYUN::TenantId}")
    description = stack.resources["Worker"].properties.Description
    assert description == "for ${ALIYUN::TenantId}, not ${Who}"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("'2015-09-01'", "'2010-09-09'", r"t\.yaml:1: ROSTemplateFormatVersion"),
        ("Outputs:", "Conditions: {}\nOutputs:", r"Conditions: Extra inputs"),
        ("ALIYUN::MNS::Topic", "ALIYUN::MNS::Topik", r"t\.yaml:13: Resources\.News\.Type"),
        ("{TopicName: news}", "{TopicName: news, Size: 1}", r"t\.yaml:13: .*Properties\.Size"),
        ("VisibilityTimeout: 60", "VisibilityTimeout: '60'", r"t\.yaml:16: .*VisibilityTimeout"),
        ("VisibilityTimeout: 60", "VisibilityTimeout: 0", "VisibilityTimeout"),
        ("'Fn::Join': ['-', [in, queue]]", "'Fn::Jq': ['.', '{}']", "Fn::Jq is not known"),
        ("'Fn::Join': ['-', [in, queue]]", "'Fn::Join': ['-', in]", "list of strings"),
        ("'Fn::Join': ['-', [in, queue]]", "Ref: In", "no parameter 'In'"),
        ("'Fn::GetAtt': [News, TopicName]", "'Fn::GetAtt': [News, Arn]", "no attribute 'Arn'"),
        ("'Fn::GetAtt': [News, TopicName]", "'Fn::GetAtt': [New, TopicName]", "'New'"),
        ("'Fn::GetAtt': [News, TopicName]", "'Fn::GetAtt': [Told, SubscriptionName]", "itself"),
        ("'Fn::GetAtt': [News, TopicName]", "Ref: Who, also: 1", "stands beside"),
        ("DependsOn: In", "DependsOn: Out", "no resource 'Out'"),
        ("${Who}, not", "${Whom}, not", "no resource 'Whom'"),
        ("'Fn::GetAtt': [Worker, Arn]", "Ref: Secret", "NoEcho parameter 'Secret'"),
        ("'Fn::GetAtt': [Worker, Arn]", "'Fn::Sub': 'x${Secret}'", "NoEcho parameter 'Secret'"),
        ("RoleName: worker", "RoleName: {Ref: Secret}", "NoEcho parameter 'Secret'"),
        ("Effect: Allow", "Effect: Perhaps", r"t\.yaml:\d+: .*Effect is Allow or Deny"),
        ("Action: 'sts:AssumeRole'", "Act: x", "unknown key 'Act'"),
        ("Type: String, Allowed", "Type: Number, Allowed", r"Parameters\.Who\.Type"),
        ("'^[a-z$&{}:A-Z]+$'", "'[a-z]+'", r"Parameters\.Who\.AllowedPattern"),
        ("{TopicName: news}}", "&x {TopicName: news}}\n  B: *x", "aliases"),
        ("  News:", "  In: {}\n  News:", "given twice"),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(before, after, says):
    assert before in GOOD
    with pytest.raises(TemplateError, match=says):
        made(GOOD.replace(before, after, 1))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"Who": "ME 2"}, "does not fit"),
        ({"Who": "x" * 41}, "0 to 40 characters"),
        ({"Whom": "x"}, "no parameter 'Whom'"),
        ({"Who": None}, "no value is given"),
    ],
)
def test_a_parameter_against_its_rules_is_refused(given, says):
    with pytest.raises(TemplateError, match=says):
        made(**given)


@pytest.mark.parametrize("text", ["", "7", "[]", "a: [" * 5000, "!!python/name:os.system x"])
def test_what_is_no_template_is_refused(text):
    with pytest.raises(TemplateError, match=r"t\.yaml"):
        Template(text, "t.yaml")


def test_a_template_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TemplateError, match="No such file"):
        Template.load(tmp_path / "t.yaml")


def a_world(tmp_path, stack, extra=""):
    (tmp_path / "t.yaml").write_text(GOOD)
    head = f"regions: [cn-hangzhou]\naccounts:\n  - uid: '{UID}'\n"
    text = f"{head}{extra}    stacks:\n      - {stack}\n"
    path = tmp_path / "world.yaml"
    path.write_text(text)
    return worldfile.load(path)


def test_a_world_file_has_stacks_of_templates(tmp_path):
    account = a_world(tmp_path, "{template: t.yaml, parameters: {Who: me}}").accounts[0]
    assert [one.name for one in account.roles] == ["worker"]
    assert account.topics[0].subscriptions[0].name == "told"


@pytest.mark.parametrize(
    ("stack", "extra", "says"),
    [
        ("{template: none.yaml}", "", r"world\.yaml:5: accounts\.0\.stacks\.0: none\.yaml"),
        ("{template: t.yaml}", "", r"t\.yaml:3: Parameters\.Who: no value"),
        ("{template: t.yaml, params: {}}", "", r"world\.yaml:5: .*params"),
        (
            "{template: t.yaml, parameters: {Who: me}}",
            "    queues: [{name: in-queue, region: cn-hangzhou}]\n",
            "in-queue is there already",
        ),
    ],
)
def test_a_stack_of_a_world_file_that_cannot_be_is_refused(tmp_path, stack, extra, says):
    with pytest.raises(WorldError, match=says):
        a_world(tmp_path, stack, extra)


def ros(local, action, uid=UID, **query):
    """A call of ROS by the SDKs' common client."""
    key, secret = local.cloud.identity.root_key(uid)
    host = local.url.removeprefix("http://")
    client = Client(Config(key, secret, endpoint=host, protocol="HTTP", region_id="cn-hangzhou"))
    params = Params(
        action=action,
        version="2019-09-10",
        protocol="HTTP",
        pathname="/",
        method="POST",
        auth_type="AK",
        style="RPC",
        req_body_type="formData",
        body_type="json",
    )
    return client.call_api(params, OpenApiRequest(query=query), RuntimeOptions())["body"]
