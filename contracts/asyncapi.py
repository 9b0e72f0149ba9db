"""The AsyncAPI 3.0 document of the queues and the topic that others work with. Pure."""

from __future__ import annotations

from typing import Any, Final

from contracts.schemas import MODELS, components

_JSON: Final = "application/json"
_TITLES: Final = {
    "request": "A request for one instance",
    "bundle": "A request for many instances: one ticket, a result for each and one for itself",
    "result": "What became of a request: a CloudEvent 1.0",
}


def document(version: str, examples: dict[str, list[tuple[str, Any]]]) -> dict[str, Any]:
    """The whole document.

    Args:
        version: Of the contracts.
        examples: Named sample documents for each message.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Cross-account ECR authorization by tickets",
            "version": version,
            "description": "Requests go onto a queue, results come from a topic. Both are MNS "
            "(Simple Message Queue). Bodies are JSON in UTF-8, at most 65536 bytes; base64 is "
            "taken as well. Results come at least once: a second copy is equal by its id.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "servers": {"mns": _server()},
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "schemas": components(),
            "messages": {name: _message(name, examples.get(name, [])) for name in MODELS},
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{account}.mns.{region}.aliyuncs.com",
        "protocol": "https",
        "description": "MNS of account A",
        "variables": {
            "account": {"description": "Account A's id"},
            "region": {"default": "cn-hangzhou", "description": "The functions' region"},
        },
    }


def _channels() -> dict[str, Any]:
    return {
        "requests": {
            "address": "ecr-requests",
            "title": "The request queue",
            "servers": [{"$ref": "#/servers/mns"}],
            "messages": {
                name: {"$ref": f"#/components/messages/{name}"} for name in ("request", "bundle")
            },
        },
        "results": {
            "address": "ecr-results",
            "title": "The result topic",
            "description": "The message's tag is `data.outcome`: subscribe by it, or to all.",
            "servers": [{"$ref": "#/servers/mns"}],
            "messages": {"result": {"$ref": "#/components/messages/result"}},
        },
        "ticketingResults": {
            "address": "ticketing-results",
            "title": "A queue that is subscribed to the result topic, for who reads from a queue",
            "servers": [{"$ref": "#/servers/mns"}],
            "messages": {"result": {"$ref": "#/components/messages/result"}},
        },
    }


def _operations() -> dict[str, Any]:
    """What this system does: it receives requests and sends results."""
    told = {
        "takeRequest": ("receive", "requests", "A request is taken, once for each request_id"),
        "announce": ("send", "results", "A result is announced, at least once"),
        "tellTicketing": ("send", "ticketingResults", "The same results, on a queue"),
    }
    channels = _channels()
    return {
        name: {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "messages": [
                {"$ref": f"#/channels/{channel}/messages/{message}"}
                for message in channels[channel]["messages"]
            ],
        }
        for name, (action, channel, summary) in told.items()
    }


def _message(name: str, examples: list[tuple[str, Any]]) -> dict[str, Any]:
    model, _ = MODELS[name]
    found: dict[str, Any] = {
        "name": name,
        "title": _TITLES[name],
        "contentType": _JSON,
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }
    if examples:
        found["examples"] = [{"name": title, "payload": body} for title, body in examples]
    return found
