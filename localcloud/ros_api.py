"""ROS 2019-09-10: CreateStack, UpdateStack and GetStack, done at once.

UpdateStack changes roles, users and policies; queues, topics and subscriptions stay as they are.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud import stacks
from localcloud.call import Call, CloudError, Operation, Product
from localcloud.ros import Stack, Template, TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.cloud import Cloud
    from localcloud.world import Account


@dataclass(frozen=True)
class _Standing:
    """A stack that stands, and whose."""

    account_uid: str
    region: str
    template: str
    given: dict[str, str]
    stack: Stack


class Ros:
    """All stacks that were created by a call; those of a world file are none of them."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._standing: dict[str, _Standing] = {}

    def product(self) -> Product:
        """ROS as the wire dispatches to it."""
        return Product(
            code="ros",
            version="2019-09-10",
            operations={
                "CreateStack": Operation(answer=self._create, resources=_all_stacks),
                "UpdateStack": Operation(answer=self._update, resources=_one_stack),
                "GetStack": Operation(answer=self._get, resources=_one_stack),
            },
        )

    def _create(self, call: Call) -> dict[str, Any]:
        name = call.params.get("StackName", "")
        if not name:
            raise CloudError(400, "MissingStackName", "The StackName is missing.")
        owner = call.caller.account_uid
        standing = [one for one in self._standing.values() if one.account_uid == owner]
        if any(one.stack.name == name for one in standing):
            raise CloudError(409, "StackExists", f"The Stack ({name}) already exists.")
        region = call.params.get("RegionId") or self._cloud.world.regions[0]
        wanted = _standing(owner, region, call.params.get("TemplateBody", ""), _given(call), name)
        account = self._account(call)
        with _whole(account):
            stacks.put(wanted.stack, account, region)
        self._cloud.mns.make(account)
        stack_id = str(uuid.uuid4())
        self._standing[stack_id] = wanted
        return {"StackId": stack_id}

    def _update(self, call: Call) -> dict[str, Any]:
        """Parameters that are not given keep their values, as does the template."""
        stack_id, known = self._known(call)
        body = call.params.get("TemplateBody") or known.template
        given = {**known.given, **_given(call)}
        wanted = _standing(known.account_uid, known.region, body, given, known.stack.name)
        account = self._account(call)
        with _whole(account):
            stacks.take_identities(known.stack, account)
            stacks.put_identities(wanted.stack, account)
        self._standing[stack_id] = wanted
        return {"StackId": stack_id}

    def _get(self, call: Call) -> dict[str, Any]:
        stack_id, known = self._known(call)
        return {
            "StackId": stack_id,
            "StackName": known.stack.name,
            "Status": "CREATE_COMPLETE",
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in known.stack.parameters.items()
            ],
            "Outputs": [
                {"OutputKey": key, "OutputValue": value}
                for key, value in known.stack.outputs.items()
            ],
        }

    def _known(self, call: Call) -> tuple[str, _Standing]:
        stack_id = call.params.get("StackId", "")
        known = self._standing.get(stack_id)
        if known is None or known.account_uid != call.caller.account_uid:
            raise CloudError(404, "StackNotFound", f"The Stack ({stack_id}) could not be found.")
        return stack_id, known

    def _account(self, call: Call) -> Account:
        account = self._cloud.world.account(call.caller.account_uid)
        assert account is not None  # noqa: S101 -- its caller has signed
        return account


@contextmanager
def _whole(account: Account) -> Iterator[None]:
    """The account is changed as a whole, or stays as it was. Raises CloudError."""
    parts = ("roles", "users", "queues", "topics")
    before = account.model_copy(deep=True)
    try:
        yield
    except stacks.StackError as error:
        for part in parts:
            getattr(account, part)[:] = getattr(before, part)
        raise _invalid(error) from None


def _standing(
    owner: str, region: str, template: str, given: dict[str, str], name: str
) -> _Standing:
    try:
        stack = Template(template, "template").create(
            given, account_uid=owner, region=region, name=name
        )
    except TemplateError as error:
        raise _invalid(error) from None
    return _Standing(owner, region, template, given, stack)


def _invalid(error: Exception) -> CloudError:
    return CloudError(400, "StackValidationFailed", str(error))


def _given(call: Call) -> dict[str, str]:
    """`Parameters.N.ParameterKey` and `Parameters.N.ParameterValue`."""
    found = {}
    for key, name in call.params.items():
        parts = key.split(".")
        if parts[0] == "Parameters" and parts[-1] == "ParameterKey":
            if name in found:
                raise CloudError(400, "InvalidParameter", f"{name} is given twice.")
            found[name] = call.params.get(f"Parameters.{parts[1]}.ParameterValue", "")
    return found


def _all_stacks(call: Call) -> list[str]:
    region, owner = call.params.get("RegionId", "*"), call.caller.account_uid
    return [f"acs:ros:{region}:{owner}:stack/*"]


def _one_stack(call: Call) -> list[str]:
    region, owner = call.params.get("RegionId", "*"), call.caller.account_uid
    return [f"acs:ros:{region}:{owner}:stack/{call.params.get('StackId', '')}"]
