"""Flat wire parameters, read and checked as the ECR API documents them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from localcloud.call import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ECR_ID: Final = re.compile(r"ecr-[a-z0-9]+")
_UID: Final = re.compile(r"[0-9]{16}")
_REGION: Final = re.compile(r"[a-z]{2}-[a-z]+(-[a-z0-9]+)*")


def text(params: Mapping[str, str], name: str) -> str:
    """A required string. Raises MissingParam."""
    value = params.get(name, "")
    if not value:
        raise CloudError(400, f"MissingParam.{name}", f"The param {name} is missing.")
    return value


def formed(params: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> str:
    """A required string of a form. Raises MissingParam or IllegalParamFormat."""
    value = text(params, name)
    if not pattern.fullmatch(value):
        raise bad_format(name)
    return value


def ecr_id(params: Mapping[str, str]) -> str:
    """The required EcrId."""
    return formed(params, "EcrId", _ECR_ID)


def uid(params: Mapping[str, str], name: str) -> str:
    """A required account id."""
    return formed(params, name, _UID)


def optional_uid(params: Mapping[str, str], name: str) -> str | None:
    """An account id, or None where it is not given."""
    return uid(params, name) if params.get(name) else None


def region(params: Mapping[str, str], name: str) -> str:
    """A required region id."""
    return formed(params, name, _REGION)


def one_of(params: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    """A required string of a few. Raises MissingParam or IllegalParam."""
    value = text(params, name)
    if value not in values:
        raise CloudError(400, f"IllegalParam.{name}", f"The param {name} is illegal.")
    return value


def flag(params: Mapping[str, str], name: str) -> bool:
    """A boolean as SDKs write it: `True`, `true`, `1`; false where it is not given."""
    value = params.get(name, "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise bad_format(name)
    return value in ("true", "1")


def number(params: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A whole number within bounds. Raises IllegalParamFormat or IllegalParam."""
    value = params.get(name)
    if value is None or value == "":
        return default
    if not value.isdigit():
        raise bad_format(name)
    if not low <= int(value) <= high:
        raise CloudError(400, f"IllegalParam.{name}", f"The param {name} is out of its range.")
    return int(value)


def listed(params: Mapping[str, str], name: str) -> list[str]:
    """A list as SDKs write it: `Name.1`, `Name.2` and so on."""
    values: list[str] = []
    while (value := params.get(f"{name}.{len(values) + 1}")) is not None:
        values.append(value)
    return values


def description(params: Mapping[str, str]) -> str:
    """The optional Description, of 128 characters at most."""
    value = params.get("Description", "")
    if len(value) > 128:  # noqa: PLR2004 -- the documented length
        raise bad_format("Description")
    return value


def page(
    params: Mapping[str, str], rows: list[Any], default: int, most: int
) -> tuple[list[Any], int, str]:
    """One page by MaxResults and NextToken: its rows, its size, and the token of the next."""
    size = number(params, "MaxResults", default, 1, most)
    token = params.get("NextToken", "")
    if token and not (token.startswith("page-") and token[5:].isdigit()):
        raise bad_format("NextToken")
    start = int(token[5:]) if token else 0
    after = start + size
    return rows[start:after], size, f"page-{after}" if after < len(rows) else ""


def bad_format(name: str) -> CloudError:
    """The error of a parameter that is wrongly formed."""
    return CloudError(400, f"IllegalParamFormat.{name}", f"The param format of {name} is illegal.")
