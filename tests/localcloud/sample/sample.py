"""Small functions that show what Function Compute does to them."""

import json
import os
import sys
import time

STARTED = []


def initialize(context):
    STARTED.append(context.request_id)


def handler(event, context):
    order = json.loads(event)
    do = order.get("do", "look")
    print(f"doing {do}")
    if do == "raise":
        raise ValueError("boom")
    if do == "exit":
        os._exit(3)
    if do == "sleep":
        time.sleep(order["seconds"])
    if do == "bytes":
        return b"\x00\x01"
    if do == "unserializable":
        return object()
    return {
        "kind": type(event).__name__,
        "context": sorted(vars(context)),
        "function": sorted(vars(context.function)),
        "environment": sorted(os.environ),
        "mine": os.environ.get("MINE"),
        "starts": len(STARTED),
        "pid": os.getpid(),
        "path": sys.path[0],
    }


def batch(events, context):
    elements = json.loads(events)
    for element in elements:
        body = element["data"]["messageBody"]
        if body == "poison":
            raise RuntimeError("poison")
        print("took " + body)


def note(event, context):
    print("noted " + event.decode())
    if b"fail" in event:
        raise RuntimeError("as told")


def http(event, context):
    request = json.loads(event)
    if request["rawPath"] == "/bare":
        return {"no": "status"}
    return {
        "statusCode": 202,
        "headers": {"Content-Type": "application/json", "x-fc-own": "dropped"},
        "isBase64Encoded": False,
        "body": json.dumps(request),
    }
