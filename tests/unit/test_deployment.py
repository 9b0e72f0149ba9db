"""s.yaml is what the platform takes, and the roles in it have no more than is written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from localcloud.fc import DeploymentError, load

ROOT = Path(__file__).parents[2]
ENVIRON = {"LEDGER_URL": "sqlite:///x", "EXTERNAL_ID_KEY": "k"}
TEXT = (ROOT / "s.yaml").read_text()


def test_the_shipped_deployment_is_good():
    deployment = load(ROOT / "s.yaml", ENVIRON)
    assert set(deployment.functions) == {
        "ecr-authorize",
        "ecr-attach",
        "ecr-cleanup",
        "ecr-intake",
        "ecr-notify",
    }
    for props in deployment.functions.values():
        assert props.runtime == "python3.12"
        assert props.timeout < 300
        (trigger,) = props.triggers
        if trigger.triggerType == "http":
            assert trigger.triggerConfig.methods == ["GET", "POST"]
            continue
        if trigger.triggerType == "mns_topic":
            continue
        assert props.environmentVariables["TIMEOUT_SECONDS"] == str(props.timeout)
        if trigger.triggerType == "timer":
            continue
        options = trigger.triggerConfig.runOptions
        assert options.errorsTolerance == "ALL"
        assert options.deadLetterQueue.Arn.endswith(
            f"/queues/{props.environmentVariables['DEAD_LETTER_QUEUE']}"
        )


def test_answers_that_cannot_be_told_end_where_the_function_puts_its_own():
    props = load(ROOT / "s.yaml", ENVIRON).functions["ecr-notify"]
    config = props.asyncInvokeConfig
    queue = props.environmentVariables["DEAD_LETTER_QUEUE"]
    assert config.destinationConfig.onFailure.destination.endswith(f":/queues/{queue}/messages")
    assert config.maxAsyncRetryAttempts == 8
    (trigger,) = props.triggers
    assert trigger.triggerConfig.notifyContentFormat == "JSON"
    assert trigger.sourceArn.endswith(f":/topics/{props.environmentVariables['RESULT_TOPIC']}")
    assert trigger.invocationRole.endswith(":role/ecr-notify-invocation")


def test_the_runtime_can_be_chosen():
    older = load(ROOT / "s.yaml", {**ENVIRON, "ECR_AUTHORIZATION_RUNTIME": "python3.10"})
    assert {one.runtime for one in older.functions.values()} == {"python3.10"}


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(DeploymentError, match="LEDGER_URL"):
        load(ROOT / "s.yaml", {"EXTERNAL_ID_KEY": "k"})


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("errorsTolerance: ALL", "errorTolerance: ALL", "errorTolerance"),
        ("TIMEOUT_SECONDS: '120'", "TIMEOUT_SECONDS: 120", "valid string"),
        ("timeout: 120 ", "timeout: 301 ", "300 s at most"),
        ("memorySize: 512", "memorySize: 500", "multiple of 64"),
        ("cpu: 0.5", "cpu: 0.05", "1:1 to 1:4"),
        ("runtime: ${vars.runtime}", "runtime: python3.11", "runtime"),
        ("${vars.runtime}", "${vars.runtim}", "names nothing"),
        ("triggerType: eventbridge", "triggerType: http", "triggerConfig"),
        ("IsBase64Decode: false", "IsBase64Decode: 'false'", "valid boolean"),
        ("edition: 3.0.0", "edition: 2.0.0", "edition"),
        ("name: ecr-authorization", "name: ecr-authorization\nextra: 1", "extra"),
        ("LOG_LEVEL: INFO", "FC_LEVEL: INFO", "FC_"),
        ("diskSize: 512", "diskSize: 1024", "diskSize"),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path, old, new, reason):
    assert old in TEXT
    file = tmp_path / "s.yaml"
    file.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(DeploymentError) as bad:
        load(file, ENVIRON)
    assert reason in str(bad.value)


def test_an_eventbridge_trigger_comes_last(tmp_path):
    document = yaml.safe_load(TEXT)
    timer = {
        "triggerName": "t",
        "triggerType": "timer",
        "triggerConfig": {"cronExpression": "@every 1h", "enable": True},
    }
    document["resources"]["authorize"]["props"]["triggers"].append(timer)
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(DeploymentError, match="comes last"):
        load(file, ENVIRON)


@pytest.mark.parametrize("file", sorted((ROOT / "infra" / "policies").glob("*.json")), ids=str)
def test_no_policy_has_a_wildcard_action_and_roles_are_named(file):
    for statement in json.loads(file.read_text())["Statement"]:
        actions = statement["Action"]
        for action in actions if isinstance(actions, list) else [actions]:
            assert "*" not in action
        if actions == "sts:AssumeRole" and "Resource" in statement:
            assert "*" not in statement["Resource"]


def test_each_function_has_a_role_of_its_own():
    roles = [props.role for props in load(ROOT / "s.yaml", ENVIRON).functions.values()]
    assert len(set(roles)) == len(roles)
