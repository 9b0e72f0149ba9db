"""What a ticket is told of work that could not be done: why, and what a person can do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.contract import Problem
from shared.converge import Step

if TYPE_CHECKING:
    from shared.cloud.errors import CloudFailure

GAVE_UP: Final = Problem(
    code="gave_up",
    message="The work could not be done in the attempts that it has.",
    remedy="Look at the dead letter and the logs of the request, then ask with a new request id.",
)
"""What is said of a request whose attempts are over, where no answer of the cloud was the cause."""


def problem_of(failure: CloudFailure, step: Step) -> Problem:
    """What a person is told of a step that the cloud did not let us take."""
    return told_of(failure, f"{step.value.replace('_', ' ')}: ")


def told_of(failure: CloudFailure, before: str = "") -> Problem:
    """What a person is told of a cloud failure."""
    explanation = failure.explanation
    said = f": {failure.message}" if failure.message else ""
    return Problem(
        code=explanation.code,
        message=f"{before}the cloud answered {failure.cloud_code}{said}",
        remedy=explanation.remedy,
        cloud_code=failure.cloud_code,
        cloud_request_id=failure.request_id,
    )


def overdue(step: Step) -> Problem:
    """What is told of a step that was waited for in vain."""
    if step is Step.AWAIT_DETACH_BY_HAND:
        return Problem(
            code="still_attached",
            message="The instance is still attached to the ECR, which was done by hand.",
            remedy="Detach it in account A, then ask for the revoke again with a new request id.",
        )
    return Problem(
        code="cloud_slow",
        message=f"{step.value.replace('_', ' ')}: the cloud has not finished in time.",
        remedy="Look at the ECR in account A; ask again with a new request id when it is settled.",
    )
