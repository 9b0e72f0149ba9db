"""How a ticketing system writes times: read into ours, which always say their offset, and back."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import field_validator, model_validator

from shared.contract import Model

if TYPE_CHECKING:
    from typing_extensions import Self

_DIRECTIVES: Final = frozenset("YmdHMSfz")
_OFFSET: Final = re.compile(r"([+-])(\d{2}):(\d{2})", re.ASCII)
_LATEST_SECONDS: Final = 253402214400  # the year 9999
_PER_SECOND: Final = {"seconds": 1, "milliseconds": 1000}


class NoTime(ValueError):
    """What is to be a time is none of the form that the mapping declares."""


class TimeForm(Model):
    """One way in which times are written.

    Args:
        forms: As strptime has them (`%Y-%m-%d %H:%M:%S`); the first that fits, and the first is
            written.
        zone: Where the clock hangs that a form without %z tells: `Asia/Shanghai`, `+08:00`, `UTC`.
        epoch: Instead of a form: so many of these since 1970, as a number or in digits.
    """

    forms: tuple[str, ...] = ()
    zone: str | None = None
    epoch: Literal["seconds", "milliseconds"] | None = None

    @field_validator("forms", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list | tuple) else (value,)

    @field_validator("forms")
    @classmethod
    def _known_directives(cls, forms: tuple[str, ...]) -> tuple[str, ...]:
        for form in forms:
            used = re.findall(r"%(.?)", form)
            if not set(used) <= _DIRECTIVES or not {"Y", "m", "d"} <= set(used):
                raise ValueError("a form has %Y, %m, %d and may have %H, %M, %S, %f, %z")
        return forms

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        if name is not None:
            _zone(name)
        return name

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if bool(self.forms) == (self.epoch is not None):
            raise ValueError("either forms or epoch is given")
        needs_zone = any("%z" not in form for form in self.forms)
        if needs_zone != (self.zone is not None):
            raise ValueError("a zone is given where a form has no %z, and only there")
        return self

    def read(self, value: object) -> datetime:
        """The time that `value` tells, with its offset. Raises NoTime."""
        if self.epoch is not None:
            return self._since_epoch(value)
        if isinstance(value, str):
            for form in self.forms:
                try:
                    return self._placed(datetime.strptime(value.strip(), form))  # noqa: DTZ007 -- it is placed
                except ValueError:
                    continue
        raise NoTime(f"not a time like {' or '.join(self.forms)}")

    def write(self, time: datetime) -> str | int:
        """`time` as the system writes it."""
        if self.epoch is not None:
            return int(time.timestamp() * _PER_SECOND[self.epoch])
        return time.astimezone(_zone(self.zone or "UTC")).strftime(self.forms[0])

    def _placed(self, time: datetime) -> datetime:
        return time if time.tzinfo else time.replace(tzinfo=_zone(str(self.zone)))

    def _since_epoch(self, value: object) -> datetime:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,15}", text, re.ASCII):
            raise NoTime(f"not a count of {self.epoch} since 1970")
        seconds = int(text) / _PER_SECOND[str(self.epoch)]
        if seconds > _LATEST_SECONDS:
            raise NoTime(f"not a count of {self.epoch} since 1970")
        return datetime.fromtimestamp(seconds, timezone.utc)


def _zone(name: str) -> tzinfo:
    """The zone of this name or offset. Raises ValueError where there is none."""
    if name == "UTC":
        return timezone.utc
    offset = _OFFSET.fullmatch(name)
    if offset:
        sign = -1 if offset[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # KeyError: ZoneInfoNotFoundError
        raise ValueError(
            "there is no such zone: give a name like Asia/Shanghai, or +08:00"
        ) from None
