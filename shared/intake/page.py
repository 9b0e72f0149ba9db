"""The OpenAPI document as a page to read: HTML made here, nothing fetched from elsewhere. Pure."""

from __future__ import annotations

import base64
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font-family:ui-monospace,monospace;background:#8882;padding:.1em .3em}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0}"
    "td,th{border-bottom:1px solid #8885;padding:.3rem .5rem;text-align:left;vertical-align:top}"
    "h2{margin-top:2.5rem}b{padding-right:.5rem}:root{color-scheme:light dark}"
)
_DIGEST: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page's Content-Security-Policy: its one style, and nothing else."""


def page(document: Mapping[str, Any]) -> str:
    """The whole document as HTML."""
    info = document["info"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])}</h1><p>{_words(info['description'])}</p>",
        '<p>The same for programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1)</p>',
        "<ul>",
    ]
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    for path, method, operation in operations:
        name = escape(operation["operationId"])
        parts.append(f'<li><a href="#{name}">{method.upper()} {escape(path)}</a></li>')
    parts.append("</ul>")
    for path, method, operation in operations:
        parts += _operation(path, method, operation)
    parts.append("<h2>What is in them</h2>")
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts += _schema(name, schema)
    return "\n".join([*parts, "</body></html>"])


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    name = escape(operation["operationId"])
    yield f'<h2 id="{name}"><b>{method.upper()}</b><code>{escape(path)}</code></h2>'
    doors = [scheme for one in operation["security"] for scheme in one]
    yield f"<p>{_words(operation['summary'])}. For {escape(doors[0]) if doors else 'anyone'}.</p>"
    body = operation.get("requestBody")
    if body:
        yield f"<p>Body: {_kind(body['content']['application/json']['schema'])}</p>"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<table><tr><th>parameter</th><th>in</th><th>what</th></tr>"
        for one in parameters:
            what = f"{_kind(one['schema'])} {_words(one.get('description', ''))}"
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td>{one['in']}</td>"
            yield f"<td>{what}</td></tr>"
        yield "</table>"
    yield "<table><tr><th>status</th><th>answer</th><th>what</th></tr>"
    for status, answer in operation["responses"].items():
        kinds = [_kind(one["schema"]) for one in answer["content"].values()]
        yield f"<tr><td>{status}</td><td>{', '.join(kinds)}</td>"
        yield f"<td>{_words(answer['description'])}</td></tr>"
    yield "</table>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h3 id="schema-{escape(name)}">{escape(name)}</h3>'
    yield f"<p>{_words(schema.get('description', ''))}</p>"
    required = schema.get("required", [])
    if schema.get("properties"):
        yield "<table>"
        for field, one in schema["properties"].items():
            must = " (required)" if field in required else ""
            yield f"<tr><td><code>{escape(field)}</code>{must}</td><td>{_kind(one)}</td>"
            yield f"<td>{_words(one.get('description', ''))}</td></tr>"
        yield "</table>"
    elif "enum" in schema:
        yield f"<p>{_kind(schema)}</p>"


def _kind(schema: Mapping[str, Any]) -> str:
    """The schema in a few words, with links to those that it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_kind(one) for one in schema[key])
    if "enum" in schema:
        return " ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    kind = escape(str(schema.get("type", "anything")))
    if "pattern" in schema:
        kind += f" <code>{escape(schema['pattern'])}</code>"
    if kind == "array":
        kind += f" of {_kind(schema['items'])}" if "items" in schema else ""
    if "format" in schema:
        kind += f" ({escape(schema['format'])})"
    return kind


def _words(text: str) -> str:
    """Text with `words of code` as such."""
    parts = escape(text).split("`")
    return "".join(f"<code>{one}</code>" if n % 2 else one for n, one in enumerate(parts))
