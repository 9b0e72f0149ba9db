"""The clean-up's function in a process of its own: told on stdin what to do, tells what it took.

`python -m benchmarks.cleaner` is started by `benchmarks.cleanup`. Its logs go nowhere; what it
tells is CPU and wall of this process alone, and its peak of memory (VmHWM: a child's ru_maxrss
begins with its parent's).
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from functions.authorize import handler as authorize
from functions.cleanup import handler as cleanup
from shared.cloud.sessions import Role, session_policy
from shared.contract import AuthorizationId
from shared.log import logged

_SAMPLE = 200


def main() -> None:
    """Do what each line says, until there is none."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    offset = timedelta()
    built: dict[str, Any] = {}

    def now() -> datetime:
        return datetime.now(timezone.utc) + offset

    for line in sys.stdin:
        asked = json.loads(line)
        offset = timedelta(seconds=asked["offset"])
        name = asked["function"]
        if name not in built:
            module = {"cleanup": cleanup, "script": authorize}[name]
            built[name] = module.build(asked["environ"], now)
        started_mb = _peak_mb()
        before = {"wall_seconds": time.monotonic(), "cpu_seconds": time.process_time()}
        if name == "script":
            said: dict[str, Any] = _script(built[name], asked)
        else:
            payload = json.dumps({"triggerName": "timer", "payload": asked["payload"]}).encode()
            said = logged(built[name].answer)(payload, None)
        after = {"wall_seconds": time.monotonic(), "cpu_seconds": time.process_time()}
        took = {key: after[key] - before[key] for key in before}
        print(
            json.dumps({**said, **took, "started_mb": started_mb, "peak_mb": _peak_mb()}),
            file=answers,
        )


def _script(function: Any, asked: dict[str, Any]) -> dict[str, float]:
    """What one look and one AssumeRole take, as the obvious script would make them, CPU in ms."""
    of, account = AuthorizationId.of_key(asked["key"]), function.worker.testimony.look.__self__
    uid = of.instance_owner_uid
    role = Role(account.registry.accounts[uid].role_arn, *account.external_id_keys.of(uid))
    policy = session_policy(of, "look")
    session = account.sessions.assume(role, policy, "script")
    account.network.authorized_at(session, of)
    started = time.process_time()
    for _ in range(_SAMPLE):
        account.network.authorized_at(session, of)
    looked = time.process_time()
    for number in range(_SAMPLE // 4):
        account.sessions.assume(role, policy, f"script-{number}")
    assumed = time.process_time()
    return {
        "look_ms": (looked - started) / _SAMPLE * 1000,
        "assume_ms": (assumed - looked) / (_SAMPLE // 4) * 1000,
    }


def _peak_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
