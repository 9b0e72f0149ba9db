"""Logs: one JSON line per fact on stdout, with what every line of an invocation shares.

    @logged                     sets all up once, and binds function, request id, cold start
    correlate(ticket=…)         binds keys for the message at hand; gone after it
    structlog.get_logger()      .info("stable_event_name", key=value)

Secrets are masked three ways: by type (SecretStr), by the key's name, and by known value wherever
it turns up, exception texts included.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import random
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from pydantic import SecretBytes, SecretStr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

Event = dict[str, Any]
Answer = TypeVar("Answer")

MASK: Final = "***"
LINE_LIMIT_BYTES: Final = 30_000
_VALUE_LIMIT: Final = 4_000
_ITEMS_LIMIT: Final = 50
_DEPTH_LIMIT: Final = 6
_FRAMES_LIMIT: Final = 30
_KNOWN_LIMIT: Final = 400
_KNOWN_SHORTEST: Final = 6
_SECRET_WORDS: Final = (
    "secret",
    "token",
    "password",
    "passwd",
    "signature",
    "credential",
    "external_id",
    "externalid",
    "private_key",
    "access_key",
    "api_key",
    "cookie",
)
"""A key whose name holds one of these hides its value. `authorization` is a word of our field,
not a header, and is shown."""

_known: dict[str, None] = {}
_always: dict[str, None] = {}
_state = {"cold": True, "configured": False}
_captures: list[list[Event]] = []


def logged(
    handler: Callable[[bytes, Any], Answer], *, chance: Callable[[], float] = random.random
) -> Callable[[bytes, Any], Answer]:
    """A Function Compute handler whose every log line says which function, request and start.

    Args:
        handler: Takes the event and the context.
        chance: A draw from [0, 1): below LOG_SAMPLE_RATE the invocation is logged at DEBUG.
    """

    @functools.wraps(handler)
    def wrapped(event: bytes, context: Any) -> Answer:
        configure()
        cold, _state["cold"] = _state["cold"], False
        level = _level(os.environ, chance)
        function = getattr(context, "function", None)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            function=getattr(function, "name", None),
            function_version=_version(function),
            memory_mb=getattr(function, "memory", None),
            fc_request_id=getattr(context, "request_id", None),
            cold_start=cold,
            log_level=level,
        )
        try:
            return handler(event, context)
        except Exception:
            structlog.get_logger().error("invocation_failed", exc_info=True)
            raise
        finally:
            structlog.contextvars.clear_contextvars()

    return wrapped


def correlate(**keys: Any) -> None:
    """Bind keys to every further line of the message at hand."""
    structlog.contextvars.bind_contextvars(**keys)


@contextmanager
def correlated(**keys: Any) -> Iterator[None]:
    """What is bound inside, by `correlate` or here, is gone after; threads do not see it."""
    before = structlog.contextvars.get_contextvars()
    structlog.contextvars.bind_contextvars(**keys)
    try:
        yield
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**before)


def mask_value(secret: SecretStr | str, *, always: bool = False) -> None:
    """Wherever this value turns up in a line, it is masked.

    The oldest are forgotten at 400, but for those that are to be masked always: of them there are
    few in a process.
    """
    value = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
    if len(value) < _KNOWN_SHORTEST:
        return
    for form in (value, json.dumps(value)[1:-1]):  # as it is, and as a line of JSON writes it
        known = _always if always else _known
        known.pop(form, None)
        known[form] = None
    while len(_known) > _KNOWN_LIMIT:
        del _known[next(iter(_known))]


@contextmanager
def captured() -> Iterator[list[Event]]:
    """The lines that are logged inside, as they would be written: for tests and commands."""
    configure()
    lines: list[Event] = []
    _captures.append(lines)
    try:
        yield lines
    finally:
        _captures.remove(lines)


def configure() -> None:
    """Set structlog and the libraries' logging up, once in a process.

    The SDKs print every header, tokens among them, where DEBUG is `sdk`: it is taken away.
    """
    if _state["configured"]:
        return
    _state["configured"] = True
    if os.environ.get("DEBUG", "").lower() == "sdk":
        del os.environ["DEBUG"]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _drop_below_level,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exception,
            _masked,
            _written,
        ],
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(logging.WARNING)
    for name in ("darabonba-core", "credentials", "alibabacloud-tea"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True


def line(event: Event) -> str:
    """The event as one line of JSON within Function Compute's limit. Pure."""
    text = _dumped(event)
    if len(text.encode()) <= LINE_LIMIT_BYTES:
        return text
    kept = {
        key: value
        for key, value in event.items()
        if isinstance(value, int | float | bool | None) or len(str(value)) <= 200  # noqa: PLR2004
    }
    kept["shortened"] = sorted(key[:80] for key in event.keys() - kept.keys())[:_ITEMS_LIMIT]
    return _dumped(kept)


class _Bridge(logging.Handler):
    """What libraries log, in our form."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().warning(
            "library_log", library=record.name, message=record.getMessage()[:_VALUE_LIMIT]
        )


def _level(environ: MutableMapping[str, str], chance: Callable[[], float]) -> int:
    try:
        rate = float(environ.get("LOG_SAMPLE_RATE", "0"))
    except ValueError:
        rate = 0.0
    if chance() < rate:
        return logging.DEBUG
    named = logging.getLevelName(environ.get("LOG_LEVEL", "INFO").upper())
    return named if isinstance(named, int) else logging.INFO


def _version(function: Any) -> str | None:
    version = getattr(function, "version_id", None) or getattr(function, "qualifier", None)
    return str(version) if version is not None else None


def _drop_below_level(_: Any, method: str, event: MutableMapping[str, Any]) -> Any:
    level = event.pop("log_level", logging.INFO)
    numbers = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
    if numbers.get(method, 20) < level:
        raise structlog.DropEvent
    return event


def _exception(_: Any, __: str, event: MutableMapping[str, Any]) -> Any:
    """An exception as fields: type, message, frames; and its cause. Never its local variables."""
    info = event.pop("exc_info", None)
    if not info:
        return event
    error = info if isinstance(info, BaseException) else sys.exc_info()[1]
    if error is not None:
        event["exception"] = _fields(error, 0)
    return event


def _fields(error: BaseException, depth: int) -> Event:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    fields: Event = {
        "type": type(error).__name__,
        "message": str(error),
        "frames": frames[-_FRAMES_LIMIT:],
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth < _DEPTH_LIMIT:
        fields["cause"] = _fields(cause, depth + 1)
    return fields


def _masked(_: Any, __: str, event: MutableMapping[str, Any]) -> Any:
    return {key: _plain(value, key, 0) for key, value in event.items() if value is not None}


def _plain(value: Any, key: str, depth: int) -> Any:  # noqa: PLR0911 -- one line a kind
    """The value as JSON takes it, its secrets masked, its length bounded."""
    if isinstance(value, SecretStr | SecretBytes) or _is_secret(key):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _shown(value)
    if depth >= _DEPTH_LIMIT:
        return f"<{type(value).__name__}>"
    if isinstance(value, dict):
        items = list(value.items())[:_ITEMS_LIMIT]
        return {_shown(str(name)): _plain(one, str(name), depth + 1) for name, one in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one, key, depth + 1) for one in list(value)[:_ITEMS_LIMIT]]
    return f"<{type(value).__name__}>"


@functools.lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    name = key.lower().replace("-", "_")
    return any(word in name for word in _SECRET_WORDS)


def _shown(text: str) -> str:
    if len(text) <= _VALUE_LIMIT:
        return text
    return f"{_without_secrets(text)[:_VALUE_LIMIT]}… ({len(text)} characters)"


def _without_secrets(text: str) -> str:
    for secret in (*_always, *list(_known)):  # other threads may learn of one meanwhile
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def _written(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    text = _without_secrets(line(dict(event)))
    for lines in _captures:
        lines.append(json.loads(text))
    if not _captures:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    return text


def _dumped(event: Event) -> str:
    return json.dumps(event, separators=(",", ":"), allow_nan=True)
