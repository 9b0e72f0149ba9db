"""Log lines: one JSON object a fact, what it belongs to on every line, and no secret ever."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared import log

ROOT = Path(__file__).parents[2]
SECRET = "c3VwZXItc2VjcmV0"


def context(**changes):
    """Function Compute's context as Python 3.12 has it."""
    function = SimpleNamespace(name="ecr-authorize", memory=512, version_id="7")
    return SimpleNamespace(request_id="1-abc", function=function, **changes)


def lines_of(work, given_context=None, chance=lambda: 0.99):
    with log.captured() as lines:
        log.logged(lambda _event, _context: work(structlog.get_logger()), chance=chance)(
            b"", given_context or context()
        )
    return lines


def written(code, **environ):
    """What a fresh process writes to stdout."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PATH": "", **environ},
        timeout=60,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_line_says_which_function_request_and_memory():
    (line,) = lines_of(lambda logger: logger.info("step_taken", step="grant"))
    assert line["event"] == "step_taken"
    assert line["level"] == "info"
    assert line["step"] == "grant"
    assert line["function"] == "ecr-authorize"
    assert line["function_version"] == "7"
    assert line["memory_mb"] == 512
    assert line["fc_request_id"] == "1-abc"
    assert line["timestamp"].endswith("Z")


def test_the_context_of_python_310_has_a_qualifier_instead_of_a_version():
    older = SimpleNamespace(
        request_id="1-abc",
        function=SimpleNamespace(name="ecr-authorize", memory=512, qualifier="LATEST"),
        credentials=SimpleNamespace(access_key_secret=SECRET),
    )
    (line,) = lines_of(lambda logger: logger.info("x"), older)
    assert line["function_version"] == "LATEST"
    assert SECRET not in json.dumps(line)


def test_only_the_first_invocation_of_a_process_is_a_cold_start():
    code = """
from shared.log import logged
import structlog
handler = logged(lambda event, context: structlog.get_logger().info("x"))
handler(b"", None); handler(b"", None)
"""
    assert [line["cold_start"] for line in written(code)] == [True, False]


def test_keys_of_one_message_are_gone_after_it():
    def work(logger):
        with log.correlated(message_id="1"):
            log.correlate(ticket="CHG-1")
            logger.info("inside")
        logger.info("after")

    inside, after = lines_of(work)
    assert (inside["message_id"], inside["ticket"]) == ("1", "CHG-1")
    assert "ticket" not in after
    assert "message_id" not in after
    assert after["fc_request_id"] == "1-abc"


def test_keys_are_gone_after_an_exception_too():
    def work(logger):
        with pytest.raises(RuntimeError), log.correlated(ticket="CHG-1"):
            raise RuntimeError
        logger.info("after")

    (after,) = lines_of(work)
    assert "ticket" not in after


def test_threads_do_not_mix_their_tickets():
    def one(number):
        with log.correlated(ticket=f"CHG-{number}"):
            for _ in range(20):
                structlog.get_logger().info("x", number=number)

    with log.captured() as lines, ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    assert len(lines) == 160
    assert all(line["ticket"] == f"CHG-{line['number']}" for line in lines)


@pytest.mark.parametrize(
    ("level", "rate", "chance", "shown"),
    [
        ("INFO", "0", 0.0, ["info", "warning"]),
        ("DEBUG", "0", 0.5, ["debug", "info", "warning"]),
        ("WARNING", "0", 0.5, ["warning"]),
        ("WARNING", "0.1", 0.05, ["debug", "info", "warning"]),
        ("WARNING", "0.1", 0.2, ["warning"]),
        ("nonsense", "nonsense", 0.0, ["info", "warning"]),
    ],
)
def test_level_and_sampling_come_from_the_environment(monkeypatch, level, rate, chance, shown):
    monkeypatch.setenv("LOG_LEVEL", level)
    monkeypatch.setenv("LOG_SAMPLE_RATE", rate)

    def work(logger):
        logger.debug("a")
        logger.info("b")
        logger.warning("c")

    assert [line["level"] for line in lines_of(work, chance=lambda: chance)] == shown


def test_an_exception_is_fields_and_never_its_variables():
    def work(_):
        password = SECRET  # noqa: F841 -- a local variable that must not show
        try:
            int("x1")
        except ValueError as error:
            raise RuntimeError("could not read it") from error

    with pytest.raises(RuntimeError), log.captured() as lines:
        log.logged(lambda _event, _context: work(None))(b"", context())
    (line,) = lines
    assert line["event"] == "invocation_failed"
    assert line["exception"]["type"] == "RuntimeError"
    assert line["exception"]["message"] == "could not read it"
    assert line["exception"]["frames"][-1].endswith(" work")
    assert line["exception"]["cause"]["type"] == "ValueError"
    assert SECRET not in json.dumps(lines)


@pytest.mark.parametrize(
    "key", ["security_token", "ExternalId", "password", "Signature", "access_key_secret", "Cookie"]
)
def test_a_value_is_hidden_by_its_key(key):
    (line,) = lines_of(lambda logger: logger.info("x", **{key: SECRET}, deep={"a": [{key: 1}]}))
    assert line[key] == "***"
    assert line["deep"]["a"][0][key] == "***"


def test_the_fields_own_word_authorization_is_shown():
    (line,) = lines_of(lambda logger: logger.info("x", authorization="ecr-1/vpc-1"))
    assert line["authorization"] == "ecr-1/vpc-1"


def test_a_value_is_hidden_by_its_type():
    (line,) = lines_of(lambda logger: logger.info("x", found=[SecretStr(SECRET)]))
    assert line["found"] == ["***"]


def test_a_known_value_is_hidden_wherever_it_turns_up():
    log.mask_value('sec"ret\\value')

    def work(logger):
        logger.info("x", note='the sec"ret\\value is out', **{'sec"ret\\value': 1})
        try:
            raise RuntimeError('denied: sec"ret\\value')
        except RuntimeError:
            logger.exception("y")

    lines = lines_of(work)
    assert lines[0]["note"] == "the *** is out"
    assert lines[1]["exception"]["message"] == "denied: ***"
    assert "ret\\\\value" not in json.dumps(lines)


@pytest.mark.parametrize(
    "value",
    ["x" * 200_000, "é" * 50_000, {str(n): "y" * 3000 for n in range(100)}, [["z" * 9000] * 60]],
    ids=["long", "not ascii", "wide", "deep"],
)
def test_no_line_is_longer_than_function_compute_takes(capsys, value):
    log.configure()
    structlog.get_logger().info("x", value=value, ticket="CHG-1")
    (line,) = capsys.readouterr().out.splitlines()
    assert len(line.encode()) <= log.LINE_LIMIT_BYTES
    assert json.loads(line)["ticket"] == "CHG-1"


def test_what_is_no_json_is_named_not_written():
    (line,) = lines_of(lambda logger: logger.info("x", context=context(), raw=b"\xff"))
    assert line["context"] == "<SimpleNamespace>"
    assert line["raw"] == "<bytes>"


@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.binary() | st.integers(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    )
)
def test_anything_can_be_logged(facts):
    with log.captured() as lines:
        structlog.get_logger().info("x", facts=facts)
    assert lines[0]["event"] == "x"


def test_what_libraries_log_takes_our_form():
    with log.captured() as lines:
        logging.getLogger("urllib3").warning("Retrying %s", "it")
        logging.getLogger("urllib3").info("not this")
    assert [(line["event"], line["library"], line["message"]) for line in lines] == [
        ("library_log", "urllib3", "Retrying it")
    ]


def test_the_sdks_are_kept_from_printing_their_headers():
    code = """
import os
from shared.log import configure
configure()
from darabonba.core import DaraCore
import structlog
structlog.get_logger().info("x", debug=os.environ.get("DEBUG", "unset"))
"""
    (line,) = written(code, DEBUG="sdk")
    assert line["debug"] == "unset"
