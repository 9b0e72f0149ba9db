"""Where the clock and the environment come in; needs no SDK, so that every function may use it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import BaseModel, Field, TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Mapping

Settings = TypeVar("Settings", bound=BaseModel)
MnsName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,119}$")]
"""What a queue or a topic may be called."""

_NAMES: Final = {"account_uid": "FC_ACCOUNT_ID", "region": "FC_REGION"}


def utc_now() -> datetime:
    """The clock of the deployed functions."""
    return datetime.now(timezone.utc)


def read(model: type[Settings], environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`. Raises pydantic's ValidationError, which names what is wrong."""
    given: dict[str, Any] = {}
    for name in model.model_fields:
        text = environ.get(_NAMES.get(name, name.upper()))
        if text is not None:
            given[name] = text
    return TypeAdapter(model).validate_python(given, strict=False)
