"""What a function is started with: limits that do not fit each other are refused at the start."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from functions.edge import read
from functions.wiring import Settings
from shared.authorization import VISIBLE_AFTER
from shared.cloud.sdk import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
from shared.cloud.sessions import SESSION_SECONDS
from shared.inbox import Pace
from shared.leases import LATE_AFTER, STUCK_AFTER, TOMBSTONES_KEPT

ENVIRON = {
    "FC_ACCOUNT_ID": "1000200030004000",
    "FC_REGION": "cn-hangzhou",
    "QUEUE": "ecr-requests",
    "DEAD_LETTER_QUEUE": "ecr-requests-dead",
    "RESULT_TOPIC": "ecr-results",
    "LEDGER_URL": "postgresql://ledger:s3cret-word@db/ledger",
}
LONGEST = {"TIMEOUT_SECONDS": "300", "REQUEST_TIMEOUT_SECONDS": "60", "CLOCK_SKEW_SECONDS": "300"}


def test_a_lock_outlasts_the_function_its_last_call_and_two_clocks():
    given = read(Settings, ENVIRON)
    call = CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS
    assert given.lock_seconds >= given.timeout_seconds + call + given.clock_skew_seconds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REQUEST_TIMEOUT_SECONDS", "12"),  # less than the calls' own time-outs
        ("CLOCK_SKEW_SECONDS", "-100"),
        ("TIMEOUT_SECONDS", "301"),
        ("TIMEOUT_SECONDS", "0"),
        ("MAX_ATTEMPTS", "0"),
        ("WRITES_PER_MINUTE", "121"),
        ("FC_REGION", "http://elsewhere"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_and_nothing_secret_is_told(name, value):
    with pytest.raises(ValidationError) as bad:
        read(Settings, {**ENVIRON, name: value})
    assert "s3cret-word" not in str(bad.value)


def test_at_their_longest_the_limits_still_fit_each_other():
    given = read(Settings, {**ENVIRON, **LONGEST})
    lock = timedelta(seconds=given.lock_seconds)
    assert lock < LATE_AFTER < STUCK_AFTER
    assert lock > VISIBLE_AFTER
    assert given.timeout_seconds < SESSION_SECONDS
    pace = Pace(max_attempts=Settings.model_fields["max_attempts"].default)
    waits = pace.person_limit_seconds * pace.max_attempts
    assert timedelta(seconds=waits) < TOMBSTONES_KEPT
