"""Function Compute as a handler and a caller see it, with both of its SDKs."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import fc2
import pytest
import requests
from alibabacloud_fc20230330 import models as fc_models
from alibabacloud_fc20230330.client import Client as FcClient
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException

from localcloud.fc import Functions, load
from localcloud.fc.triggers import next_time
from localcloud.server import LocalCloud
from tests.localcloud.conftest import A, Sdk

SAMPLE = Path(__file__).parent / "sample"


@pytest.fixture
def fc(world):
    functions = Functions(
        load(SAMPLE / "s.yaml", {}),
        account_uid=A,
        root=SAMPLE,
        environment={"MORE": "yes"},
        legacy_services={"old-service": {"old-name": "today"}},
    )
    with LocalCloud(world, functions=functions) as local:
        yield Sdk(local)


def asked(fc, name, **order):
    outcome = fc.cloud.fc.invoke(name, json.dumps(order).encode())
    return outcome, json.loads(outcome.body)


def wait_for(condition, seconds=5):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)


def test_a_handler_on_python_3_12_has_bytes_and_a_context_without_credentials(fc):
    _, seen = asked(fc, "today")
    assert seen["kind"] == "bytes"
    assert seen["context"] == [
        "account_id", "function", "log_project", "log_store", "region", "request_id"
    ]  # fmt: skip
    assert seen["function"] == ["handler", "memory", "name", "qualifier", "timeout", "version_id"]


def test_a_handler_on_python_3_10_has_credentials_and_a_service_in_its_context(fc):
    _, seen = asked(fc, "older")
    assert {"credentials", "service", "tracing", "retry_count"} <= set(seen["context"])


def test_the_environment_is_the_platforms_and_the_deployments_and_nothing_of_ours(fc, monkeypatch):
    monkeypatch.setenv("OURS_ALONE", "x")
    _, seen = asked(fc, "today")
    assert "OURS_ALONE" not in seen["environment"]
    assert {"FC_REGION", "FC_FUNCTION_NAME", "ALIBABA_CLOUD_SECURITY_TOKEN", "MORE"} <= set(
        seen["environment"]
    )
    assert seen["mine"] == "a default"
    assert seen["path"] == str(SAMPLE)


def test_an_instance_starts_once_and_is_used_again(fc):
    first, second = asked(fc, "today")[1], asked(fc, "today")[1]
    assert first["pid"] == second["pid"]
    assert second["starts"] == 1


def test_an_instance_takes_one_request_at_a_time_and_load_makes_more_of_them(fc):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: asked(fc, "today", do="sleep", seconds=0.3), range(3)))
    assert len(fc.cloud.fc.instances("today")) == 3


def test_what_a_handler_raises_is_the_error_body_and_the_instance_lives(fc):
    outcome, body = asked(fc, "today", do="raise")
    assert outcome.error_type == "UnhandledInvocationError"
    assert (body["errorType"], body["errorMessage"]) == ("ValueError", "boom")
    assert body["stackTrace"][-1][2] == "in handler"
    assert len(fc.cloud.fc.instances("today")) == 1


def test_an_answer_that_is_no_json_is_an_error_and_bytes_stay_bytes(fc):
    assert asked(fc, "today", do="unserializable")[1]["errorType"] == "TypeError"
    assert fc.cloud.fc.invoke("today", b'{"do": "bytes"}').body == b"\x00\x01"


def test_a_function_that_takes_too_long_is_ended(fc):
    asked(fc, "today")
    outcome, body = asked(fc, "today", do="sleep", seconds=30)
    assert outcome.error_type == "FunctionTimedOut"
    assert body["errorMessage"].startswith("Function timed out after 1 seconds")
    assert fc.cloud.fc.instances("today") == []
    assert any("sample.py" in line for line in fc.cloud.fc.logs("today"))


def test_a_process_that_ends_by_itself_is_an_error(fc):
    outcome, body = asked(fc, "today", do="exit")
    assert outcome.error_type == "FunctionExited"
    assert body["errorMessage"].startswith("Process exited unexpectedly")
    assert asked(fc, "today")[1]["starts"] == 1


def test_a_module_that_is_not_there_is_an_error(fc):
    _, body = asked(fc, "broken")
    assert body["errorType"] == "ImportModuleError"


def test_a_frozen_instance_answers_when_it_thaws(fc):
    asked(fc, "today")
    (instance,) = fc.cloud.fc.instances("today")
    instance.freeze()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asked, fc, "today")
        time.sleep(0.2)
        assert not answer.done()
        instance.thaw()
        assert answer.result(5)[1]["pid"] == instance.pid


# EventBridge -----------------------------------------------------------------------------------


def test_a_batch_comes_whole_and_good_messages_are_taken(fc):
    for number in range(6):
        fc.cloud.mns.send(A, "ecr-requests", f"m{number}".encode())
    wait_for(lambda: sum("took" in line for line in fc.cloud.fc.logs("batch")) == 6)


def test_a_batch_that_fails_is_pushed_again_whole_and_then_dead(world, clock):
    taken = []

    def batch(event):
        bodies = [one["data"]["messageBody"] for one in json.loads(event)]
        taken.append(bodies)
        if "poison" in bodies:
            raise RuntimeError("poison")

    functions = Functions(
        load(SAMPLE / "s.yaml", {}), account_uid=A, root=SAMPLE, in_process={"batch": batch}
    )
    with LocalCloud(world, clock=clock, functions=functions) as local:
        for body in (b"good!", b"poison"):
            local.cloud.mns.send(A, "ecr-requests", body, delay=1)
        clock.advance(120)
        assert taken == [["good!", "poison"]] * 3
        dead = local.cloud.mns.queue(A, "ecr-requests-dead").peek(9)
        assert [one.body for one in dead] == [b"good!", b"poison"]
        local.cloud.mns.send(A, "ecr-requests", base64.b64encode(b"encoded"))
        clock.advance(0)
        assert taken[-1] == ["encoded"]


def test_a_stream_without_tolerance_stops_at_a_batch_that_fails(world, clock):
    deployment = load(SAMPLE / "s.yaml", {})
    options = deployment.functions["batch"].triggers[0].triggerConfig.runOptions
    options.errorsTolerance = "NONE"
    taken = []

    def batch(event):
        taken.append(event)
        raise RuntimeError

    functions = Functions(deployment, account_uid=A, root=SAMPLE, in_process={"batch": batch})
    with LocalCloud(world, clock=clock, functions=functions) as local:
        local.cloud.mns.send(A, "ecr-requests", b"poison")
        clock.advance(120)
        local.cloud.mns.send(A, "ecr-requests", b"after")
        clock.advance(120)
        assert len(taken) == 3
        assert local.cloud.mns.depth(A, "ecr-requests")[0] == 1


# Topic, timer, HTTP ----------------------------------------------------------------------------


def test_a_topic_pushes_what_fits_its_tag(fc):
    fc.cloud.mns.publish(A, "ecr-results", b'{"n": 1}', "attached")
    fc.cloud.mns.publish(A, "ecr-results", b'{"n": 2}', "granted")
    wait_for(lambda: any("noted" in line for line in fc.cloud.fc.logs("topic")))
    noted = [line for line in fc.cloud.fc.logs("topic") if line.startswith("noted")]
    event = json.loads(noted[0].removeprefix("noted "))
    assert (event["Message"], event["TopicName"]) == ('{"n": 2}', "ecr-results")
    assert "MessageTag" not in event


@pytest.mark.parametrize(
    ("role", "starts"),
    [
        ("ecr-notify-invocation", True),
        ("ecr-notify", False),  # it trusts Function Compute, and not MNS
        ("nobodys", False),
    ],
)
def test_a_topic_starts_a_function_by_the_role_of_the_trigger(world, clock, role, starts):
    deployment = load(SAMPLE / "s.yaml", {})
    (trigger,) = deployment.functions["topic"].triggers
    trigger.invocationRole = f"acs:ram::{A}:role/{role}"
    trigger.triggerConfig.filterTag = None
    # The role of the sample's world may start one function: it is called so here.
    (invocation,) = [one for one in world.account(A).roles if one.name == "ecr-notify-invocation"]
    (statement,) = invocation.policies[0]["Statement"]
    taken = []
    in_process = {"topic": lambda event: taken.append(event)}  # noqa: PLW0108 -- it answers nothing
    for resource, calls in (
        (statement["Resource"][0], 0),
        (f"acs:fc:cn-hangzhou:{A}:functions/topic", int(starts)),
    ):
        statement["Resource"] = [resource]
        functions = Functions(deployment, account_uid=A, root=SAMPLE, in_process=in_process)
        with LocalCloud(world, clock=clock, functions=functions) as local:
            local.cloud.mns.publish(A, "ecr-results", b"{}", None)
            assert local.cloud.fc.idle(10)
            assert len(taken) == calls


def test_an_asynchronous_event_is_tried_again_and_then_goes_to_its_destination(fc):
    fc.cloud.mns.publish(A, "ecr-results", b"fail", "granted")
    dead = fc.cloud.mns.queue(A, "ecr-attachments-dead")
    wait_for(lambda: dead.peek(9))
    (letter,) = [json.loads(one.body) for one in dead.peek(9)]
    assert "fail" in letter["requestPayload"]
    assert letter["responseContext"]["functionError"] == "UnhandledInvocationError"

    def noted():
        return [line for line in fc.cloud.fc.logs("topic") if line.startswith("noted")]

    wait_for(lambda: len(noted()) >= 2)  # a log is read beside the answers, and may come after
    assert len(noted()) == 2


def test_a_timer_fires_when_its_time_has_come(world, clock):
    fired = []
    functions = Functions(
        load(SAMPLE / "s.yaml", {}), account_uid=A, root=SAMPLE, in_process={"timer": fired.append}
    )
    with LocalCloud(world, clock=clock, functions=functions) as local:
        clock.advance(2 * 3600 + 1)
        assert local.cloud.fc.idle(5)
        events = [json.loads(one) for one in fired]
    assert [one["payload"] for one in events] == ["sweep", "sweep"]
    assert events[0]["triggerName"] == "hourly"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("@every 5m", "2026-11-23T08:05:00"),
        ("0 30 2 * * *", "2026-11-24T02:30:00"),
        ("0 0 4 1 * *", "2026-12-01T04:00:00"),
        ("CRON_TZ=Asia/Shanghai 0 0 4 1 * *", "2026-11-30T20:00:00"),
        ("0 0 0 * * SUN", "2026-11-29T00:00:00"),
        ("0 0 0 ? * 0", "2026-11-29T00:00:00"),
        ("0 0 12 * * 1", "2026-11-23T12:00:00"),
    ],
)
def test_a_timer_expression_is_read_as_the_platform_reads_it(expression, expected):
    now = datetime(2026, 11, 23, 8, 0, tzinfo=timezone.utc).timestamp()
    at = datetime.fromtimestamp(next_time(expression, now), tz=timezone.utc)
    assert at.strftime("%Y-%m-%dT%H:%M:%S") == expected


def test_an_http_request_is_the_platforms_event_and_the_answer_is_its_struct(fc):
    url = f"{fc.local.url}/_http/http/requests/1?tag=a&tag=b"
    answer = requests.post(url, json={"a": 1}, timeout=5)
    assert answer.status_code == 202
    assert "x-fc-own" not in answer.headers
    event = answer.json()
    assert (event["version"], event["rawPath"]) == ("v1", "/requests/1")
    assert event["queryParameters"] == {"tag": "a,b"}
    assert (json.loads(event["body"]), event["isBase64Encoded"]) == ({"a": 1}, False)
    assert event["requestContext"]["http"]["method"] == "POST"
    binary = requests.post(url, data=b"\x00\x01", timeout=5).json()
    assert (binary["body"], binary["isBase64Encoded"]) == ("AAE=", True)


def test_an_http_request_outside_the_platforms_limits_is_refused(fc):
    url = f"{fc.local.url}/_http/http"
    assert requests.put(url, timeout=5).status_code == 405
    assert requests.get(url, headers={"X": "x" * 8200}, timeout=5).status_code == 400
    assert requests.get(f"{url}/?q={'x' * 4100}", timeout=5).status_code == 400
    assert requests.get(f"{fc.local.url}/_http/today", timeout=5).status_code == 404
    assert requests.get(f"{url}/bare", timeout=5).status_code == 502
    fc.cloud.behaviour.switches.http_without_status_code = "ok"
    assert requests.get(f"{url}/bare", timeout=5).json() == {"no": "status"}


# FC's own APIs ---------------------------------------------------------------------------------


def today(fc, secret=None):
    key, own = fc.cloud.identity.root_key(A)
    return FcClient(fc.config(key, secret or own))


def test_todays_sdk_invokes_a_function(fc):
    body = fc_models.InvokeFunctionRequest(body=__import__("io").BytesIO(b"{}"))
    answer = today(fc).invoke_function("today", body)
    assert json.loads(answer.body.read())["kind"] == "bytes"
    assert answer.headers["x-fc-request-id"]
    failing = fc_models.InvokeFunctionRequest(body=__import__("io").BytesIO(b'{"do": "raise"}'))
    answer = today(fc).invoke_function("today", failing)
    assert answer.status_code == 200
    assert answer.headers["x-fc-error-type"] == "UnhandledInvocationError"


def test_todays_sdk_invokes_asynchronously_and_a_task_once(fc):
    for _ in range(2):
        headers = fc_models.InvokeFunctionHeaders(
            x_fc_invocation_type="Async", x_fc_async_task_id="task_1"
        )
        request = fc_models.InvokeFunctionRequest(body=__import__("io").BytesIO(b"once"))
        options = __import__("darabonba.runtime", fromlist=["RuntimeOptions"]).RuntimeOptions()
        answer = today(fc).invoke_function_with_options("timer", request, headers, options)
        assert answer.status_code == 202
    wait_for(lambda: any("noted" in line for line in fc.cloud.fc.logs("timer")))
    assert fc.cloud.fc.idle(5)
    assert sum(line == "noted once" for line in fc.cloud.fc.logs("timer")) == 1


def test_todays_sdk_is_refused_with_a_wrong_secret_and_for_no_function(fc):
    request = fc_models.InvokeFunctionRequest(body=__import__("io").BytesIO(b"{}"))
    with pytest.raises(AlibabaCloudException, match="SignatureDoesNotMatch|does not conform"):
        today(fc, "wrong").invoke_function("today", request)
    with pytest.raises(AlibabaCloudException) as refused:
        today(fc).invoke_function("nobody", request)
    assert refused.value.code == "FunctionNotFound"


def older(fc, secret=None):
    key, own = fc.cloud.identity.root_key(A)
    return fc2.Client(endpoint=fc.local.url, accessKeyID=key, accessKeySecret=secret or own)


def test_the_older_sdk_invokes_a_function_of_a_service(fc):
    answer = older(fc).invoke_function(
        "old-service", "old-name", payload="{}", headers={"x-fc-log-type": "Tail"}
    )
    assert json.loads(answer.data)["kind"] == "bytes"
    tail = base64.b64decode(answer.headers["x-fc-log-result"]).decode()
    assert "doing look" in tail


def test_the_older_sdk_is_refused_with_a_wrong_secret_and_for_no_service(fc):
    with pytest.raises(Exception, match="SignatureDoesNotMatch"):
        older(fc, "wrong").invoke_function("old-service", "old-name", payload="{}")
    with pytest.raises(Exception, match="ServiceNotFound"):
        older(fc).invoke_function("another", "old-name", payload="{}")


def test_nobody_invokes_a_function_without_permission(fc):
    client = FcClient(fc.config("LTAI-demo-ticketing", "demo-ticketing-secret"))
    request = fc_models.InvokeFunctionRequest(body=__import__("io").BytesIO(b"{}"))
    with pytest.raises(AlibabaCloudException) as refused:
        client.invoke_function("today", request)
    assert refused.value.code == "NoPermission"
