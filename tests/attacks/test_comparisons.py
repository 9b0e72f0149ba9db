"""What is secret is compared in constant time: no `==` on a secret, a token, a signature."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("functions", "shared", "infra", "ecrauth")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).glob("**/*.py"))
WORDS = (
    "secret",
    "token",
    "password",
    "signature",
    "external_id",
    "webhook",
    "bearer",
    "hmac",
    "credential",
)
NOT_SECRET = {
    # whose name ends as that of a secret does
    "functions/authorize/handler.py: asked.get('check') not in ('external_ids', 'doctor')",
    "shared/intake/webhooks.py: len(signature) != _SIGNATURE_BYTES",  # a length
    "shared/registry/contradictions.py: token in seen",  # hashes that the registry shows to all
    "shared/log.py: secret in text",  # masks a known value in a line of ours
    "ecrauth/app.py: name in SECRET",  # which settings are secret, by their names
    "shared/cloud/sdk.py: token in seen",  # the name of a listing's next page
}


def names(node):
    """Every name in an expression: variables, attributes, keys, functions that are called."""
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield one.id
        elif isinstance(one, ast.Attribute):
            yield one.attr
        elif isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def is_secret(node):
    if isinstance(node, ast.Constant):
        return False
    said = [name.lower() for name in names(node)]
    if any(isinstance(one, ast.Call) and _called(one) in ("len", "isinstance") for one in [node]):
        return False
    return any(word in name for name in said for word in WORDS)


def _called(call):
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def faults(text):
    """Where a secret is compared in another way than in constant time, or looked up as a key."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        against = [side for side in sides if not isinstance(side, ast.Constant)]
        compared = any(isinstance(one, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for one in node.ops)
        if compared and len(against) > 1 and any(is_secret(side) for side in sides):
            yield ast.unparse(node)


def test_no_secret_is_compared_byte_by_byte():
    assert len(FILES) > 40
    found = {
        f"{path.relative_to(ROOT)}: {fault}"
        for path in FILES
        for fault in faults(path.read_text("utf-8"))
    }
    assert found - NOT_SECRET == set()


@pytest.mark.parametrize(
    "text",
    [
        "given == secret",
        "secret.get_secret_value() != other",
        "request.headers['webhook-signature'] == expected",
        "token_of(x).password == y",
        "sha256(token).hexdigest() in reader.token_sha256",
        "signature in signatures",
        "hmac.digest(a, b, 'sha256') == c",
    ],
)
def test_the_scan_finds_what_it_is_for(text):
    assert list(faults(text))


@pytest.mark.parametrize(
    "text",
    ["secret == ''", "len(secret) < 32", "compare_digest(secret, b)", "a == b", "not secret"],
)
def test_the_scan_leaves_alone_what_gives_nothing_away(text):
    assert not list(faults(text))
