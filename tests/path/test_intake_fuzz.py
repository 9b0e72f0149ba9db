"""Intake against its own OpenAPI document: schemathesis posts and asks whatever it can think of.

What it posts is signed and what it asks bears a token, so that it comes in; what a header of a
generated case says otherwise is left as it is. Every answer has to be documented and of its
schema, and none may be a 5xx. It runs over localcloud's HTTP trigger.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks

from shared.intake import openapi
from tests.path.intake_client import TOKENS, Door, opened

EXAMPLES = 40
# Python's `re` does not know \p{C}, and hypothesis makes what `re` knows.
DOCUMENT = json.loads(json.dumps(openapi.document()).replace(r"^[^\\p{C}]*$", r"^[ -~]*$"))
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
schema = schemathesis.openapi.from_dict(DOCUMENT)
seen: Counter[tuple[str, int]] = Counter()


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    with opened(folder) as system:
        yield Door(system)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_no_answer_is_undocumented_and_none_is_a_5xx(case, door):
    door.system.clock.advance(0.01)  # so that its own pace is sometimes too fast
    request = requests.Request(**case.as_transport_kwargs(base_url=door.url)).prepare()
    body = request.body or b""
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    try:
        request.headers.update(door.signed(body) | {"content-type": "application/json"})
    except UnicodeDecodeError:
        pass  # nobody can sign what is no text
    request.headers["Authorization"] = f"Bearer {TOKENS['network-team']}"
    with requests.Session() as session:
        answer = session.send(request, timeout=20)
    seen[case.operation.label, answer.status_code] += 1
    case.validate_response(answer, checks=CHECKS)
