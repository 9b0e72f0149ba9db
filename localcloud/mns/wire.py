"""MNS on the wire: signed REST with XML bodies (2015-06-06)."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as Xml  # noqa: ICN001 -- names that read
from xml.sax.saxutils import escape

from pydantic import ValidationError
from werkzeug.wrappers import Response

from localcloud import incoming, ram, signatures
from localcloud.call import Caller, CloudError
from localcloud.mns.queue import LONGEST_VISIBILITY
from localcloud.mns.topic import LARGEST_MESSAGE, NAMESPACE
from localcloud.world import Queue as QueueAttributes
from localcloud.world import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Request

    from localcloud.cloud import Cloud
    from localcloud.mns import Mns
    from localcloud.mns.queue import Message

_HOST: Final = re.compile(r"(?P<uid>[0-9]{16})\.mns\.(?P<region>[a-z0-9-]+)\.")
_BATCH: Final = 16
_LONGEST_POLL: Final = 30
_LARGEST_XML: Final = 2 * 1024 * 1024
_ATTRIBUTES: Final = {
    "DelaySeconds": "delay_seconds",
    "VisibilityTimeout": "visibility_seconds",
    "MessageRetentionPeriod": "retention_seconds",
    "PollingWaitSeconds": "polling_wait_seconds",
    "MaximumMessageSize": "maximum_message_size",
}

# path pattern, method, has a query parameter, action
_ROUTES: Final[tuple[tuple[str, str, str | None, str], ...]] = (
    (r"/queues/(?P<queue>[^/]+)/messages", "POST", None, "SendMessage"),
    (r"/queues/(?P<queue>[^/]+)/messages", "GET", "peekonly", "PeekMessage"),
    (r"/queues/(?P<queue>[^/]+)/messages", "GET", None, "ReceiveMessage"),
    (r"/queues/(?P<queue>[^/]+)/messages", "DELETE", None, "DeleteMessage"),
    (r"/queues/(?P<queue>[^/]+)/messages", "PUT", None, "ChangeMessageVisibility"),
    (r"/queues/(?P<queue>[^/]+)", "PUT", "metaoverride", "SetQueueAttributes"),
    (r"/queues/(?P<queue>[^/]+)", "PUT", None, "CreateQueue"),
    (r"/queues/(?P<queue>[^/]+)", "GET", None, "GetQueueAttributes"),
    (r"/queues/(?P<queue>[^/]+)", "DELETE", None, "DeleteQueue"),
    (r"/queues", "GET", None, "ListQueue"),
    (r"/topics/(?P<topic>[^/]+)/messages", "POST", None, "PublishMessage"),
    (r"/topics/(?P<topic>[^/]+)/subscriptions/(?P<name>[^/]+)", "PUT", None, "Subscribe"),
    (r"/topics/(?P<topic>[^/]+)/subscriptions/(?P<name>[^/]+)", "DELETE", None, "Unsubscribe"),
    (
        r"/topics/(?P<topic>[^/]+)/subscriptions/(?P<name>[^/]+)",
        "GET",
        None,
        "GetSubscriptionAttributes",
    ),
    (r"/topics/(?P<topic>[^/]+)/subscriptions", "GET", None, "ListSubscriptionByTopic"),
    (r"/topics/(?P<topic>[^/]+)", "PUT", None, "CreateTopic"),
    (r"/topics/(?P<topic>[^/]+)", "GET", None, "GetTopicAttributes"),
    (r"/topics/(?P<topic>[^/]+)", "DELETE", None, "DeleteTopic"),
    (r"/topics", "GET", None, "ListTopic"),
)


class MnsWire:
    """The queues and topics of `mns`, over HTTP."""

    def __init__(self, cloud: Cloud, mns: Mns) -> None:
        self._cloud = cloud
        self._mns = mns

    def names(self, request: Request) -> tuple[str, str]:
        """The product and the action that a request is for."""
        return "mns", _route(request)[0]

    def key(self, request: Request) -> str | None:
        """The access key id that a request claims, not verified."""
        try:
            return signatures.mns_key(incoming.signed(request))
        except CloudError:
            return None

    def error(self, request: Request, error: CloudError) -> Response:
        """The error as MNS would answer it."""
        fields = {
            "Code": error.code,
            "Message": error.message,
            "RequestId": incoming.request_id(),
            "HostId": f"http://{request.host}",
        }
        return _xml(error.status, _element("Error", fields), error.headers)

    def answer(self, request: Request) -> tuple[Response, Caller | None, str | None]:
        """The answer, who asked (once that is known), and the error's code."""
        caller: Caller | None = None
        action, names = _route(request)
        try:
            caller = self._authenticate(request)
            self._authorize(request, caller, action, names)
            do: Callable[..., Response] | None = getattr(self, f"_{_snake(action)}", None)
            if do is None:
                raise CloudError(400, "InvalidRequestURL", "There is no such operation.")
            return do(request, caller.account_uid, **names), caller, None
        except CloudError as error:
            return self.error(request, error), caller, error.code

    def _authenticate(self, request: Request) -> Caller:
        raw = incoming.signed(request)
        token = request.headers.get("security-token")
        caller, secret = self._cloud.identity.caller(signatures.mns_key(raw), token)
        signatures.verify_mns(raw, secret)
        try:
            date = parsedate_to_datetime(request.headers.get("date", ""))
        except (TypeError, ValueError):
            raise CloudError(
                400, "InvalidDateHeader", "The date header is wrongly formed."
            ) from None
        stamped = date.replace(tzinfo=date.tzinfo or timezone.utc).timestamp()
        if abs(stamped - self._cloud.signing_time()) > incoming.SKEW_SECONDS:
            raise CloudError(400, "InvalidDateHeader", "The date is more than 15 minutes off.")
        host = _HOST.match(request.host)
        if host is not None and host["uid"] != caller.account_uid:
            raise CloudError(403, "AccessDenied", "The queue's account is another.")
        return caller

    def _authorize(
        self, request: Request, caller: Caller, action: str, names: dict[str, str]
    ) -> None:
        """RAM's verdict on `acs:mns:<region>:<uid>:<path>`; a batch needs the single's right."""
        path = request.path.rstrip("/")
        region = self._cloud.world.regions[0]
        if "queue" in names and action != "CreateQueue":
            region = self._mns.queue(caller.account_uid, names["queue"]).attributes.region
        resource = f"acs:mns:{region}:{caller.account_uid}:{path}"
        context = incoming.base_context(caller, self._cloud.clock.now())
        if not ram.allowed(caller, f"mns:{action}", resource, context):
            raise CloudError(
                403,
                "AccessDenied",
                "The OwnerId that your Access Key Id associated to is forbidden.",
            )

    # Queues -----------------------------------------------------------------------------------

    def _send_message(self, request: Request, uid: str, queue: str) -> Response:
        root = _read(request)
        if root.tag == "Message":
            return _xml(201, _sent(self._send(uid, queue, root)))
        entries = root.findall("Message")
        if not 1 <= len(entries) <= _BATCH:
            raise CloudError(400, "InvalidArgument", f"A batch has 1 to {_BATCH} messages.")
        inner = "".join(_sent(self._send(uid, queue, entry), "") for entry in entries)
        return _xml(201, f'<Messages xmlns="{NAMESPACE}">{inner}</Messages>')

    def _send(self, uid: str, queue: str, entry: Xml.Element) -> Message:
        return self._mns.send(
            uid,
            queue,
            (entry.findtext("MessageBody") or "").encode(),
            _whole(entry.findtext("DelaySeconds")),
            _whole(entry.findtext("Priority")),
        )

    def _receive_message(self, request: Request, uid: str, queue: str) -> Response:
        attributes = self._mns.queue(uid, queue).attributes
        wait = _whole(request.args.get("waitseconds"))
        wait = attributes.polling_wait_seconds if wait is None else wait
        if not 0 <= wait <= _LONGEST_POLL:
            raise CloudError(400, "InvalidArgument", "waitseconds is from 0 to 30.")
        most = self._most(request)
        found = self._mns.receive(uid, queue, most or 1, wait)
        return _found(found, received=True, batch=most is not None)

    def _peek_message(self, request: Request, uid: str, queue: str) -> Response:
        most = self._most(request)
        with self._cloud.lock:
            found = self._mns.queue(uid, queue).peek(most or 1)
        return _found(found, received=False, batch=most is not None)

    def _most(self, request: Request) -> int | None:
        most = _whole(request.args.get("numOfMessages"))
        if most is not None and not 1 <= most <= _BATCH:
            raise CloudError(400, "InvalidArgument", f"numOfMessages is from 1 to {_BATCH}.")
        return most

    def _delete_message(self, request: Request, uid: str, queue: str) -> Response:
        receipt = request.args.get("ReceiptHandle")
        if receipt is not None:
            self._mns.delete(uid, queue, receipt)
            return Response(status=204)
        receipts = [one.text or "" for one in _read(request).findall("ReceiptHandle")]
        failed = ""
        for one in receipts:
            try:
                self._mns.delete(uid, queue, one)
            except CloudError as error:
                fields = {
                    "ErrorCode": error.code,
                    "ErrorMessage": error.message,
                    "ReceiptHandle": one,
                }
                failed += _element("Error", fields, "")
        if failed:
            return _xml(404, f'<Errors xmlns="{NAMESPACE}">{failed}</Errors>')
        return Response(status=204)

    def _change_message_visibility(self, request: Request, uid: str, queue: str) -> Response:
        seconds = _whole(request.args.get("VisibilityTimeout")) or 0
        if not 0 <= seconds <= LONGEST_VISIBILITY:
            raise CloudError(400, "InvalidArgument", "VisibilityTimeout is from 0 to 43200.")
        with self._cloud.lock:
            receipt = request.args.get("ReceiptHandle", "")
            message = self._mns.queue(uid, queue).change_visibility(receipt, seconds)
        fields = {"ReceiptHandle": message.receipt, "NextVisibleTime": _ms(message.visible_at)}
        return _xml(200, _element("ChangeVisibility", fields))

    def _create_queue(self, request: Request, uid: str, queue: str) -> Response:
        given = _attributes(_read(request)) if request.get_data() else {}
        known = {one.attributes.name: one.attributes for one in self._mns.queues(uid)}
        region = self._cloud.world.regions[0]
        wanted = QueueAttributes(name=queue, region=region, **given)
        if queue in known:
            same = known[queue].model_copy(update={"dead_letter": None}) == wanted
            if not same:
                raise CloudError(
                    409, "QueueAlreadyExist", "The queue exists, with other attributes."
                )
            return Response(status=204)
        self._mns.create_queue(uid, wanted)
        return Response(status=201, headers={"Location": f"http://{request.host}/queues/{queue}"})

    def _set_queue_attributes(self, request: Request, uid: str, queue: str) -> Response:
        attributes = self._mns.queue(uid, queue).attributes
        for name, value in _attributes(_read(request)).items():
            setattr(attributes, name, value)
        return Response(status=204)

    def _get_queue_attributes(self, request: Request, uid: str, queue: str) -> Response:  # noqa: ARG002
        attributes = self._mns.queue(uid, queue).attributes
        active, inactive, delayed = self._mns.depth(uid, queue)
        fields: dict[str, Any] = {
            "QueueName": queue,
            "CreateTime": 0,
            "LastModifyTime": 0,
            **{theirs: getattr(attributes, ours) for theirs, ours in _ATTRIBUTES.items()},
            "ActiveMessages": active,
            "InactiveMessages": inactive,
            "DelayMessages": delayed,
            "LoggingEnabled": "False",
        }
        return _xml(200, _element("Queue", fields))

    def _delete_queue(self, request: Request, uid: str, queue: str) -> Response:  # noqa: ARG002
        self._mns.delete_queue(uid, queue)
        return Response(status=204)

    def _list_queue(self, request: Request, uid: str) -> Response:
        inner = "".join(
            f"<Queue><QueueURL>http://{request.host}/queues/{one.attributes.name}</QueueURL></Queue>"
            for one in self._mns.queues(uid)
        )
        return _xml(200, f'<Queues xmlns="{NAMESPACE}">{inner}</Queues>')

    # Topics -----------------------------------------------------------------------------------

    def _publish_message(self, request: Request, uid: str, topic: str) -> Response:
        root = _read(request)
        body = (root.findtext("MessageBody") or "").encode()
        message = self._mns.publish(uid, topic, body, root.findtext("MessageTag"))
        fields = {"MessageId": message.message_id, "MessageBodyMD5": message.md5}
        return _xml(201, _element("Message", fields))

    def _subscribe(self, request: Request, uid: str, topic: str, name: str) -> Response:
        root = _read(request)
        try:
            subscription = Subscription(
                name=name,
                endpoint=root.findtext("Endpoint") or "",
                filter_tag=root.findtext("FilterTag"),
                notify_strategy=root.findtext("NotifyStrategy") or "BACKOFF_RETRY",
                notify_content_format=root.findtext("NotifyContentFormat") or "XML",
            )
        except ValidationError:
            raise CloudError(
                400, "InvalidArgument", "An attribute is none that MNS takes."
            ) from None
        self._mns.subscribe(uid, topic, subscription)
        return Response(status=201, headers={"Location": request.url})

    def _unsubscribe(self, request: Request, uid: str, topic: str, name: str) -> Response:  # noqa: ARG002
        self._mns.subscribers(uid, topic).pop(name, None)
        return Response(status=204)

    def _get_subscription_attributes(self, _: Request, uid: str, topic: str, name: str) -> Response:
        known = self._mns.subscribers(uid, topic).get(name)
        if known is None:
            raise CloudError(404, "SubscriptionNotExist", "There is no such subscription.")
        one = known.subscription
        fields = {
            "TopicOwner": uid,
            "TopicName": topic,
            "Subscriber": uid,
            "SubscriptionName": name,
            "Endpoint": one.endpoint,
            "FilterTag": one.filter_tag or "",
            "NotifyStrategy": one.notify_strategy,
            "NotifyContentFormat": one.notify_content_format,
            "CreateTime": 0,
            "LastModifyTime": 0,
        }
        return _xml(200, _element("Subscription", fields))

    def _list_subscription_by_topic(self, request: Request, uid: str, topic: str) -> Response:
        base = f"http://{request.host}/topics/{topic}/subscriptions"
        inner = "".join(
            f"<Subscription><SubscriptionURL>{base}/{name}</SubscriptionURL></Subscription>"
            for name in self._mns.subscribers(uid, topic)
        )
        return _xml(200, f'<Subscriptions xmlns="{NAMESPACE}">{inner}</Subscriptions>')

    def _create_topic(self, request: Request, uid: str, topic: str) -> Response:
        known = topic in self._mns.topics(uid)
        self._mns.create_topic(uid, topic, self._cloud.world.regions[0])
        return Response(status=204 if known else 201, headers={"Location": request.url})

    def _get_topic_attributes(self, request: Request, uid: str, topic: str) -> Response:  # noqa: ARG002
        self._mns.subscribers(uid, topic)
        fields = {
            "TopicName": topic,
            "CreateTime": 0,
            "LastModifyTime": 0,
            "MaximumMessageSize": LARGEST_MESSAGE,
            "MessageRetentionPeriod": 86400,
            "MessageCount": 0,
            "LoggingEnabled": "False",
        }
        return _xml(200, _element("Topic", fields))

    def _delete_topic(self, request: Request, uid: str, topic: str) -> Response:  # noqa: ARG002
        self._mns.delete_topic(uid, topic)
        return Response(status=204)

    def _list_topic(self, request: Request, uid: str) -> Response:
        inner = "".join(
            f"<Topic><TopicURL>http://{request.host}/topics/{name}</TopicURL></Topic>"
            for name in self._mns.topics(uid)
        )
        return _xml(200, f'<Topics xmlns="{NAMESPACE}">{inner}</Topics>')


def _route(request: Request) -> tuple[str, dict[str, str]]:
    path = request.path.rstrip("/")
    for pattern, method, query, action in _ROUTES:
        found = re.fullmatch(pattern, path)
        if found and method == request.method and (query is None or query in request.args):
            return action, found.groupdict()
    return "Unknown", {}


def _snake(action: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()


def _read(request: Request) -> Xml.Element:
    """The body's XML without its namespace. No document type, so no entities to expand."""
    raw = request.get_data()
    if len(raw) > _LARGEST_XML or b"<!" in raw.replace(b"<![CDATA[", b""):
        raise CloudError(400, "MalformedXML", "The XML is too large or declares a document type.")
    try:
        root = Xml.fromstring(raw)  # noqa: S314 -- checked above
    except Xml.ParseError:
        raise CloudError(400, "MalformedXML", "The XML you provided was not well-formed.") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _attributes(given: Xml.Element) -> dict[str, int]:
    """The attributes of a queue that are given, by our names."""
    found = {ours: _whole(given.findtext(theirs)) for theirs, ours in _ATTRIBUTES.items()}
    return {name: value for name, value in found.items() if value is not None}


def _whole(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not text.isdigit():
        raise CloudError(400, "InvalidArgument", f"{text[:20]!r} is no whole number.")
    return int(text)


def _sent(message: Message, namespace: str = NAMESPACE) -> str:
    fields = {"MessageId": message.message_id, "MessageBodyMD5": message.md5}
    return _element("Message", fields, namespace)


def _found(messages: list[Message], *, received: bool, batch: bool) -> Response:
    if not messages:
        raise CloudError(404, "MessageNotExist", "Message not exist.")
    if not batch:
        return _xml(200, _shown(messages[0], NAMESPACE, received=received))
    inner = "".join(_shown(one, "", received=received) for one in messages)
    return _xml(200, f'<Messages xmlns="{NAMESPACE}">{inner}</Messages>')


def _shown(message: Message, namespace: str, *, received: bool) -> str:
    fields: dict[str, Any] = {
        "MessageId": message.message_id,
        "MessageBodyMD5": message.md5,
        "MessageBody": message.body.decode("utf-8", "replace"),
        "EnqueueTime": _ms(message.enqueued_at),
        "FirstDequeueTime": _ms(message.first_received_at or message.enqueued_at),
        "DequeueCount": message.receives,
        "Priority": message.priority,
    }
    if received:
        fields["ReceiptHandle"] = message.receipt
        fields["NextVisibleTime"] = _ms(message.visible_at)
    return _element("Message", fields, namespace)


def _ms(at: float) -> int:
    return int(at * 1000)


def _element(name: str, fields: dict[str, Any], namespace: str = NAMESPACE) -> str:
    inner = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in fields.items())
    return (
        f'<{name} xmlns="{namespace}">{inner}</{name}>'
        if namespace
        else f"<{name}>{inner}</{name}>"
    )


def _xml(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    body = f'<?xml version="1.0" encoding="utf-8"?>{text}'
    more = {"x-mns-version": "2015-06-06", "x-mns-request-id": incoming.request_id()}
    date = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return Response(
        body,
        status,
        {**(headers or {}), **more, "date": date},
        content_type="text/xml;charset=utf-8",
    )
