"""What a result says in words, in a language: a headline, and a comment of some lines.

The words stand in texts/LANGUAGE.yaml, by outcome and by stable code. Only ids, times and what the
problem says are put into them: nothing that a requester has written.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import ValidationError, field_validator

from shared import yamlfile
from shared.contract import LANGUAGES, Language, Model, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.contract import PartResult, Problem, Result, ResultBody

_FOLDER: Final = Path(__file__).parent / "texts"
_MAX_BYTES: Final = 128 * 1024
_FIELDS: Final = frozenset(
    {"action", "cloud_code", "cloud_request_id", "code", "count", "do", "ecr", "expires", "held_by"}
    | {"instance", "message", "outcome", "request_id", "ticket", "what", "why"}
)
_MOST_PARTS: Final = 50


class BadTexts(ValueError):
    """A file of texts that cannot be used: what is wrong in it."""


class Reason(Model):
    """What a stable code means, and what is to be done about it."""

    why: str
    do: str


class Lines(Model):
    """The lines that a comment may have below its headline."""

    expires: str
    held_by: str
    why: str
    said: str
    do: str
    cloud: str
    part: str
    part_why: str
    request: str


class Texts(Model):
    """One language's file; `kept` is the headline of a lease's end while others hold the access."""

    actions: dict[Literal["grant", "revoke"], str]
    all_instances: str
    headlines: dict[Outcome, str]
    kept: str
    lines: Lines
    outcomes: dict[Outcome, str]
    codes: dict[str, Reason]

    @field_validator("headlines", "kept", "lines", "all_instances")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:
        texts = value.model_dump() if isinstance(value, Model) else value
        for text in texts.values() if isinstance(texts, dict) else [texts]:
            for _, field, form, conversion in string.Formatter().parse(text):
                if field is not None and (field not in _FIELDS or form or conversion):
                    raise ValueError(f"there is no field {field}")
        return value


@dataclass(frozen=True)
class Said:
    """A result in words."""

    headline: str
    comment: str


def load() -> dict[Language, Texts]:
    """The texts of every language. Raises BadTexts."""
    return {language: _read(_FOLDER / f"{language}.yaml") for language in LANGUAGES}


def _read(path: Path) -> Texts:
    try:
        return Texts.model_validate(yamlfile.read(path, _MAX_BYTES).document)
    except yamlfile.BadYaml as error:
        raise BadTexts(str(error)) from None
    except ValidationError as error:
        raise BadTexts(f"{path.name}: {error}") from None


def say(result: Result, texts: Texts) -> Said:
    """The result in words. Pure."""
    data = result.data
    fields = _fields(data, texts)
    is_kept = data.outcome == "revoked" and data.held_by
    form = texts.kept if is_kept else texts.headlines[data.outcome]
    headline = form.format_map(fields)
    return Said(headline, "\n".join([headline, *_lines(data, texts, fields)]))


def _lines(data: ResultBody, texts: Texts, fields: Mapping[str, str]) -> Iterator[str]:
    lines = texts.lines
    if data.expires_at is not None:
        yield lines.expires.format_map(fields)
    if data.held_by:
        yield lines.held_by.format_map(fields)
    if data.problem is not None:
        yield from _problem(data.problem, texts, fields)
    for part in data.parts[:_MOST_PARTS]:
        yield _part(part, texts)
    if data.request_id != data.ticket:
        yield lines.request.format_map(fields)


def _problem(problem: Problem, texts: Texts, fields: Mapping[str, str]) -> Iterator[str]:
    yield texts.lines.why.format_map(fields)
    if problem.message != fields["why"]:
        yield texts.lines.said.format_map(fields)
    yield texts.lines.do.format_map(fields)
    if problem.cloud_request_id:
        yield texts.lines.cloud.format_map(fields)


def _part(part: PartResult, texts: Texts) -> str:
    reason = texts.codes.get(part.code) if part.code else None
    fields = {
        "instance": part.instance_id,
        "outcome": texts.outcomes[part.outcome],
        "code": part.code or "",
        "why": reason.why if reason else "",
    }
    form = texts.lines.part_why if reason else texts.lines.part
    return form.format_map(_Given(fields))


def _fields(data: ResultBody, texts: Texts) -> Mapping[str, str]:
    problem, of = data.problem, data.authorization
    reason = texts.codes.get(problem.code) if problem else None
    count = texts.all_instances.format_map(_Given({"count": str(len(data.parts))}))
    return _Given(
        {
            "action": texts.actions[data.action] if data.action else "",
            "cloud_code": (problem and problem.cloud_code) or "",
            "cloud_request_id": (problem and problem.cloud_request_id) or "",
            "code": problem.code if problem else "",
            # A code of a newer release has no text yet: the problem's own words are there.
            "do": reason.do if reason else (problem.remedy if problem else ""),
            "ecr": data.peer_ecr_id or (of.ecr_id if of else "-"),
            "expires": f"{data.expires_at:%Y-%m-%d %H:%M %Z}" if data.expires_at else "",
            "held_by": ", ".join(data.held_by),
            "message": problem.message if problem else "",
            "request_id": data.request_id,
            "ticket": data.ticket or data.request_id,
            "what": of.instance_id if of else (count if data.parts else "-"),
            "why": reason.why if reason else (problem.message if problem else ""),
        }
    )


class _Given(dict[str, str]):
    """A field that a line has no use for is empty in it."""

    def __missing__(self, key: str) -> str:
        return "-"
