"""Cold start: importing a handler's module, beside importing the SDKs that it needs and no more."""

from __future__ import annotations

from statistics import median

from benchmarks.served import told_by
from benchmarks.table import Row

ROUNDS = 11
_NEEDED = {
    "authorize": (
        "alibabacloud_expressconnectrouter20230901.client, "
        "alibabacloud_sts20150401.client, mns.account, mns.topic, mns.queue"
    ),
    "attach": (
        "alibabacloud_expressconnectrouter20230901.client, mns.account, mns.topic, mns.queue"
    ),
    "intake": "werkzeug.routing, werkzeug.wrappers, standardwebhooks, mns.account, mns.queue",
    "notify": "standardwebhooks, urllib3, mns.account, mns.queue",
}
_MEASURE = """
import json, sys, time
sys.modules["rich"] = None  # a tool of this machine, which structlog would take; not deployed
before = time.process_time()
import {modules}
print(json.dumps({{
    "seconds": time.process_time() - before,
    "mb": int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20,
    "products": sorted(
        name for name in sys.modules if name.startswith("alibabacloud_") and name.count(".") == 0
    ),
}}))
"""
_BESIDE = "pydantic, sqlalchemy, structlog"


def measure() -> list[Row]:
    """One row a handler: CPU seconds of the import in a new process, ours and the bare one's."""
    rows = []
    for function, bare in _NEEDED.items():
        ours: list[dict[str, float]] = []
        theirs: list[dict[str, float]] = []
        for _ in range(ROUNDS):  # one beside the other, so that the machine's moods hit both
            ours.append(_imported(f"functions.{function}.handler"))
            theirs.append(_imported(bare))
        rows.append(
            Row(
                what=f"cold start of {function}",
                unit="ms CPU",
                ours=median(one["seconds"] for one in ours) * 1000,
                bare=median(one["seconds"] for one in theirs) * 1000,
                target=1.15,
                note=f"{median(one['mb'] for one in ours):.0f} MB beside "
                f"{median(one['mb'] for one in theirs):.0f} MB; products: "
                + (", ".join(_short(name) for name in ours[0]["products"]) or "none"),
            )
        )
        libraries = [_imported(_BESIDE)["seconds"] for _ in range(ROUNDS)]
        told = f"pydantic + SQLAlchemy + structlog: {median(libraries) * 1000:.0f} ms"
        rows[-1].note += f"; {told}"
    return rows


def _short(product: str) -> str:
    return product.removeprefix("alibabacloud_").rstrip("0123456789")


def _imported(modules: str) -> dict[str, float]:
    return told_by("-c", _MEASURE.format(modules=modules), timeout=60)
