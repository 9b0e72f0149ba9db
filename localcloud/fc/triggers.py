"""What starts a function by itself: EventBridge over a queue, a topic, a timer."""

from __future__ import annotations

import base64
import binascii
import json
import random
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from localcloud import ram
from localcloud.call import CloudError
from localcloud.clock import VirtualClock, iso
from localcloud.fc.deployment import EventBridgeConfig, MnsTopicConfig, TimerConfig
from localcloud.incoming import base_context, request_id
from localcloud.mns.topic import retry_delays
from localcloud.world import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.fc import Fc
    from localcloud.fc.deployment import Trigger
    from localcloud.mns import Message

_QUEUE_ARN: Final = re.compile(r".*:/?queues/(?P<name>[A-Za-z0-9-]+)(/messages)?")
_EVERY: Final = re.compile(r"@every (?P<count>\d+)(?P<unit>[smh])")
_BATCH_LIMIT: Final = 16
_MOMENT: Final = 1.0
"""Seconds that MNS needs the role's credentials for."""
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def connect(fc: Fc, function: str, trigger: Trigger) -> None:
    """The trigger works from now on. HTTP triggers need nothing: they are asked."""
    config = trigger.triggerConfig
    if isinstance(config, EventBridgeConfig) and config.triggerEnable:
        Stream(fc, function, trigger.triggerName, config).start()
    elif isinstance(config, MnsTopicConfig):
        _subscribe(fc, function, trigger, config)
    elif isinstance(config, TimerConfig) and config.enable:
        _tick(fc, function, trigger.triggerName, config)


# EventBridge --------------------------------------------------------------------------------------


class Stream:
    """An EventBridge stream from a queue to a function.

    It acknowledges what it has read by itself: a batch that fails is pushed again whole, and at
    the end goes to the dead-letter queue, or, without tolerance, stops the stream.
    """

    def __init__(self, fc: Fc, function: str, name: str, config: EventBridgeConfig) -> None:
        self._fc = fc
        self._function = function
        self._name = name
        self._config = config
        self._source = config.eventSourceConfig.eventSourceParameters.sourceMNSParameters
        self._chance = random.Random(name)  # noqa: S311 -- replayable jitter
        self._pushing = 0
        self._lock = fc.cloud.lock
        self.stopped = False

    def start(self) -> None:
        """Look at the queue whenever a message may have come."""
        fc, queue = self._fc, self._source.QueueName
        fc.cloud.mns.watch(fc.settings.account_uid, queue, self._look)
        self._look()

    def _look(self) -> None:
        """Start as many pushes as there are messages and tasks for."""
        if isinstance(self._fc.cloud.clock, VirtualClock):
            self._drain()
            return
        with self._lock:
            if self._pushing >= self._config.runOptions.maximumTasks:
                return
            self._pushing += 1
        self._fc.soon(self._task)

    def _task(self) -> None:
        try:
            self._drain()
        finally:
            with self._lock:
                self._pushing -= 1
        # What came between the last look and the task's end has been told to nobody.
        if (
            not self.stopped
            and self._fc.cloud.mns.depth(self._fc.settings.account_uid, self._source.QueueName)[0]
        ):
            self._look()

    def _drain(self) -> None:
        while not self.stopped and not self._fc.stopping.is_set():
            messages = self._read()
            if not messages:
                return
            elements = [one for one in map(self._element, messages) if one is not None]
            if elements:
                self._push(elements, self._delays(), self._fc.cloud.clock.now())

    def _read(self) -> list[Message]:
        mns, uid, queue = self._fc.cloud.mns, self._fc.settings.account_uid, self._source.QueueName
        most = min(self._config.runOptions.batchWindow.CountBasedWindow, _BATCH_LIMIT)
        if self._config.runOptions.mode == "event-driven":
            most = 1
        messages = mns.receive(uid, queue, most)
        for message in messages:
            mns.delete(uid, queue, message.receipt)
        return messages

    def _element(self, message: Message) -> dict[str, Any] | None:
        body = message.body
        if self._source.IsBase64Decode:
            try:
                body = base64.b64decode(body, validate=True)
            except (binascii.Error, ValueError):
                if self._fc.cloud.behaviour.switches.eventbridge_plain_body == "dropped":
                    self._bury([body])
                    return None
        uid, region = self._fc.settings.account_uid, self._source.RegionId
        bus = f"MNS-{self._function}-{self._name}"
        return {
            "id": request_id().lower(),
            "source": bus,
            "specversion": "1.0",
            "type": "mns:Queue:SendMessage",
            "datacontenttype": "application/json; charset=utf-8",
            "subject": f"acs:mns:{region}:{uid}:queues/{self._source.QueueName}",
            "time": _with_milliseconds(message.enqueued_at),
            "aliyunaccountid": uid,
            "aliyunpublishtime": _with_milliseconds(message.enqueued_at),
            "aliyunoriginalaccountid": uid,
            "aliyuneventbusname": bus,
            "aliyunregionid": region,
            "aliyunpublishaddr": "127.0.0.1",
            "data": {
                "requestId": request_id().replace("-", "")[:24],
                "messageId": message.message_id,
                "messageBody": body.decode("utf-8", "replace"),
            },
        }

    def _push(self, elements: list[dict[str, Any]], delays: list[float], born: float) -> None:
        outcome = self._fc.invoke(self._function, self._event(elements))
        if outcome.error_type is None:
            return
        now = self._fc.cloud.clock.now()
        age = self._config.runOptions.retryStrategy.MaximumEventAgeInSeconds
        if not delays or (age and now + delays[0] - born > age):
            self._gave_up(elements)
            return
        again = now + delays[0]
        self._fc.begin()

        def push() -> None:
            self._fc.end()
            self._push(elements, delays[1:], born)

        run = (
            push if isinstance(self._fc.cloud.clock, VirtualClock) else lambda: self._fc.soon(push)
        )
        self._fc.cloud.clock.call_at(again, run)

    def _event(self, elements: list[dict[str, Any]]) -> bytes:
        if self._config.runOptions.mode == "event-driven":
            return json.dumps(elements[0]).encode()
        if self._fc.cloud.behaviour.switches.eventbridge_elements == "strings":
            return json.dumps([json.dumps(one) for one in elements]).encode()
        return json.dumps(elements).encode()

    def _gave_up(self, elements: list[dict[str, Any]]) -> None:
        if self._config.runOptions.errorsTolerance == "NONE":
            self.stopped = True
            return
        self._bury([one["data"]["messageBody"].encode() for one in elements])

    def _bury(self, bodies: list[bytes]) -> None:
        target = self._config.runOptions.deadLetterQueue
        found = _QUEUE_ARN.fullmatch(target.Arn) if target else None
        if found:
            for body in bodies:
                self._fc.cloud.mns.send(self._fc.settings.account_uid, found["name"], body)

    def _delays(self) -> list[float]:
        strategy = self._config.runOptions.retryStrategy
        delays = retry_delays(strategy.PushRetryStrategy, self._chance)
        most = strategy.MaximumRetryAttempts
        return delays[:most] if most else delays


# Topic --------------------------------------------------------------------------------------------


def _subscribe(fc: Fc, function: str, trigger: Trigger, config: MnsTopicConfig) -> None:
    """The topic's messages are asynchronous invocations, where its role lets MNS start it."""

    def take(event: bytes) -> bool:
        return _may_start(fc, function, trigger.invocationRole) and fc.invoke_async(function, event)

    topic = (trigger.sourceArn or "").rpartition("topics/")[2]
    subscription = Subscription(
        name=trigger.triggerName,
        endpoint=f"fc:{function}",
        filter_tag=config.filterTag,
        notify_strategy=config.notifyStrategy,
    )
    fc.cloud.mns.subscribe_function(
        fc.settings.account_uid,
        topic,
        subscription,
        config.notifyContentFormat,
        take,
    )


def _may_start(fc: Fc, function: str, role_arn: str | None) -> bool:
    """MNS may start the function by the trigger's `invocationRole`; without one, by its own."""
    if role_arn is None:
        return True
    place = f"{fc.props(function).region}:{fc.settings.account_uid}"
    try:
        session = fc.cloud.identity.service_session(role_arn, "mns.aliyuncs.com", "mns", _MOMENT)
    except CloudError:
        return False
    context = base_context(session.caller, fc.cloud.clock.now())
    arn = f"acs:fc:{place}:functions/{function}"
    return ram.allowed(session.caller, "fc:InvokeFunction", arn, context)


# Timer --------------------------------------------------------------------------------------------


def timer_event(name: str, payload: str, at: float) -> bytes:
    """What a function is handed by its timer. Pure."""
    event = {"triggerTime": iso(at), "triggerName": name, "payload": payload}
    return json.dumps(event).encode()


def next_time(expression: str, now: float) -> float:
    """When `@every …` or a cron expression of six fields fires next after `now`. Pure.

    Raises:
        ValueError: It is neither.
    """
    every = _EVERY.fullmatch(expression)
    if every:
        unit = {"s": 1, "m": 60, "h": 3600}[every["unit"]]
        return now + int(every["count"]) * unit
    zone = "UTC"
    if expression.startswith("CRON_TZ="):
        zone, _, expression = expression[len("CRON_TZ=") :].partition(" ")
    fields = expression.split()
    if len(fields) != 6:  # noqa: PLR2004 -- second minute hour day month weekday
        raise ValueError(f"{expression!r} has not the six fields of a timer")
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 -- few deployments have one

    second, minute, hour, day, month, weekday = (field.replace("?", "*") for field in fields)
    trigger = CronTrigger(
        second=second,
        minute=minute,
        hour=hour,
        day=day,
        month=month.lower(),
        # Cron counts from Sunday, the library from Monday: names mean the same to both.
        day_of_week=re.sub(r"(?<![/\d])[0-7]", lambda one: _DAYS[int(one[0])], weekday.lower()),
        timezone=zone,
    )
    start = datetime.fromtimestamp(now, tz=timezone.utc) + timedelta(microseconds=1)
    found = trigger.get_next_fire_time(None, start)
    if found is None:
        raise ValueError(f"{expression!r} never fires")
    return float(found.timestamp())


def _tick(fc: Fc, function: str, name: str, config: TimerConfig) -> None:
    def fire(at: float) -> Callable[[], None]:
        def fired() -> None:
            if fc.stopping.is_set():
                return
            fc.invoke_async(function, timer_event(name, config.payload, at))
            wait(at)

        return fired

    def wait(after: float) -> None:
        at = next_time(config.cronExpression, after)
        fc.cloud.clock.call_at(at, fire(at))

    wait(fc.cloud.clock.now())


def _with_milliseconds(at: float) -> str:
    moment = datetime.fromtimestamp(at, tz=timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
