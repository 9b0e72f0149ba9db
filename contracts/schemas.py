"""The JSON Schemas of what travels, made from the models. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic.json_schema import models_json_schema

from shared.contract import Bundle, Request, Result

if TYPE_CHECKING:
    from shared.contract import Model

Way = Literal["accepted", "emitted"]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MODELS: Final[dict[str, tuple[type[Model], Way]]] = {
    "request": (Request, "accepted"),
    "bundle": (Bundle, "accepted"),
    "result": (Result, "emitted"),
}


def schema(name: str) -> dict[str, Any]:
    """The published schema of `request`, `bundle` or `result`."""
    model, way = MODELS[name]
    found = model.model_json_schema()
    if way == "emitted":
        found = opened(found)
    return {"$schema": DIALECT, "$id": f"urn:ecr-authorization:{name}", **found}


def components() -> dict[str, Any]:
    """The same schemas beside one another, as AsyncAPI and OpenAPI refer to them."""
    _, accepted = _together("accepted")
    _, emitted = _together("emitted")
    # What both know (an authorization's id) is the same but for being open.
    return {**accepted, **{name: opened(one) for name, one in emitted.items()}}


def _together(way: Way) -> tuple[object, dict[str, Any]]:
    mode: Literal["validation"] = "validation"
    models = [(model, mode) for model, of in MODELS.values() if of == way]
    refs, found = models_json_schema(models, ref_template="#/components/schemas/{model}")
    return refs, found["$defs"]


def opened(part: Any) -> Any:
    """The schema for who reads: what a later version adds is to be passed over, not refused."""
    if isinstance(part, dict):
        return {
            name: opened(value)
            for name, value in part.items()
            if (name, value) != ("additionalProperties", False)
        }
    return [opened(one) for one in part] if isinstance(part, list) else part
