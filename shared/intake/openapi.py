"""The OpenAPI 3.1 document, made from the routes and the models. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from shared.intake.problems import MEDIA_TYPE, REFUSED, STATUS, ProblemDetails
from shared.intake.routes import ROUTES
from shared.intake.webhooks import LONGEST_ID

if TYPE_CHECKING:
    from shared.contract import Model
    from shared.intake.routes import Route

VERSION: Final = "1.0.0"
_REFERENCE: Final = "#/components/schemas/{model}"
_DESCRIPTION: Final = (
    "Tickets ask here for cross-account authorizations of Express Connect Routers. Who posts signs "
    "each message as a Standard Webhook; who reads bears a token. A sender whose payloads are "
    "mapped posts its own payload to `/requests`. A problem has a stable `code` and a remedy; "
    "codes that are not listed are those of a refused request."
)
_WEBHOOK: Final = (
    (
        "webhook-id",
        "The same each time the message is sent; without `.` and `,`",
        {"type": "string", "pattern": f"^[!-+/-~-]{{1,{LONGEST_ID}}}$"},
    ),
    (
        "webhook-timestamp",
        "Seconds since 1970; five minutes off at most",
        {"type": "string", "pattern": "^[0-9]{1,11}$"},
    ),
    (
        "webhook-signature",
        "`v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64; several with blanks between",
        {"type": "string"},
    ),
)


@cache
def document() -> dict[str, Any]:
    """The document. It is made once; nobody changes it."""
    models: list[tuple[type[Model], str]] = [(ProblemDetails, "serialization")]
    for route in ROUTES:
        models += [(body, "validation") for body in route.body]
        if not isinstance(route.answer, str):
            models.append((route.answer, "serialization"))
    unique: Any = list(dict.fromkeys(models))
    references, definitions = models_json_schema(unique, ref_template=_REFERENCE)
    schemas = definitions.get("$defs", {})
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in ROUTES:
        paths[route.path][route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Intake of cross-account ECR authorization",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "reader": {"type": "http", "scheme": "bearer"},
                "webhook": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "webhook-signature",
                    "description": "Standard Webhooks, with the sender's `whsec_…` secret",
                },
            },
        },
    }


@cache
def text() -> str:
    """The document as it is served."""
    return json.dumps(document(), ensure_ascii=False, separators=(",", ":"))


def _operation(route: Route, references: Any) -> dict[str, Any]:
    security: dict[str, list[dict[str, list[str]]]] = {
        "sender": [{"webhook": []}],
        "reader": [{"reader": []}],
        "anyone": [],
    }
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "security": security[route.door],
        "responses": _responses(route, references),
    }
    parameters = [*_parameters(route.path_model, "path"), *_parameters(route.query, "query")]
    if route.door == "sender":
        parameters += [
            {"name": name, "in": "header", "required": True, "description": text, "schema": schema}
            for name, text, schema in _WEBHOOK
        ]
    if parameters:
        found["parameters"] = parameters
    if route.body:
        schemas = [references[body, "validation"] for body in route.body]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        content = {"application/json": {"schema": schema}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _parameters(model: type[Model] | None, place: str) -> list[dict[str, Any]]:
    """Each field as a parameter; one that may be left out is not null when it is given."""
    if model is None:
        return []
    schema = model.model_json_schema()
    found = []
    for name, field in schema["properties"].items():
        plain = {key: value for key, value in field.items() if key not in ("title", "description")}
        given = [one for one in plain.pop("anyOf", []) if one != {"type": "null"}]
        if plain.get("default", ...) is None:
            del plain["default"]
        parameter = {
            "name": name,
            "in": place,
            "required": place == "path",
            "schema": {**plain, **(given[0] if given else {})},
        }
        if "description" in field:
            parameter["description"] = field["description"]
        found.append(parameter)
    return found


def _responses(route: Route, references: Any) -> dict[str, Any]:
    if isinstance(route.answer, str):
        kind = {"type": "object"} if route.answer == "application/json" else {"type": "string"}
        good = {"description": route.summary, "content": {route.answer: {"schema": kind}}}
    else:
        schema = references[route.answer, "serialization"]
        good = {
            "description": (route.answer.__doc__ or "").partition("\n")[0],
            "content": {"application/json": {"schema": schema}},
        }
    if route.status == 202:  # noqa: PLR2004 -- accepted: it has a place to look at
        good["headers"] = {"Location": {"schema": {"type": "string"}}}
    codes: dict[int, list[str]] = defaultdict(list)
    for code in route.codes:
        codes[STATUS[code][0]].append(code)
    problem = {"schema": references[ProblemDetails, "serialization"]}
    found = {str(route.status): good}
    for status in sorted(codes):
        words = ", ".join(f"`{code}`" for code in codes[status])
        more = " and the codes of what the registry refuses" if status == REFUSED else ""
        found[str(status)] = {"description": words + more, "content": {MEDIA_TYPE: problem}}
        if STATUS_HEADERS.get(status):
            header = STATUS_HEADERS[status]
            found[str(status)]["headers"] = {header: {"schema": {"type": "string"}}}
    return found


STATUS_HEADERS: Final = {401: "WWW-Authenticate", 429: "Retry-After"}
