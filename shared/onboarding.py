"""An account B is taken in, and its ExternalId changed: what is to be deployed, and how it stands.

The commands are those of the `aliyun` command line. An ExternalId stands in one only where it was
asked for; else the name of a shell variable does.
"""

from __future__ import annotations

import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from pydantic import SecretStr

from shared.cloud.errors import CloudFailure
from shared.cloud.sessions import NOT_TRUSTED, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.cloud.sessions import Sessions
    from shared.external_ids import ExternalIdKeys
    from shared.registry import Registry

STACK_A: Final = "ecr-account-a"
STACK_B: Final = "ecr-authorization"
TEMPLATE_A: Final = "infra/account-a.yaml"
TEMPLATE_B: Final = "infra/account-b.yaml"
VARIABLE: Final = "ECR_EXTERNAL_ID"
ROLE_NAME: Final = "ecr-authorization"
# A session by which it is seen whether the role is to be had, and which may do nothing at all.
NOTHING: Final = '{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'
# STS takes 100 calls a second of an account; an account B is asked twice, and the work goes on.
SLICE: Final = 25
_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Command:
    """A call of ROS, as `aliyun ros ACTION --NAME VALUE …`.

    Args:
        action: The API's name.
        options: Its parameters, but for the stack's.
        parameters: The stack's. A secret shows as a shell variable.
        template: The file whose text is the TemplateBody.
    """

    action: str
    options: Mapping[str, str]
    parameters: Mapping[str, str | SecretStr] = field(default_factory=dict)
    template: str | None = None
    prefix: str = "Parameters"

    def shell(self, *, reveal: bool = False) -> str:
        """The line for a shell; with `reveal` the ExternalId stands in it."""
        words = ["aliyun", "ros", self.action]
        for name, value in self.options.items():
            words += [f"--{name}", shlex.quote(value)]
        if self.template is not None:
            words += ["--TemplateBody", f'"$(cat {shlex.quote(self.template)})"']
        for number, (name, given) in enumerate(self.parameters.items(), 1):
            words += [f"--{self.prefix}.{number}.ParameterKey", name]
            words += [f"--{self.prefix}.{number}.ParameterValue", _word(given, reveal=reveal)]
        return " ".join(words)

    def query(self, template: str = "") -> dict[str, str]:
        """What goes over the wire: the parameters of the API, secrets and all."""
        found = dict(self.options)
        if template:
            found["TemplateBody"] = template
        for number, (name, given) in enumerate(self.parameters.items(), 1):
            value = given.get_secret_value() if isinstance(given, SecretStr) else given
            found[f"{self.prefix}.{number}.ParameterKey"] = name
            found[f"{self.prefix}.{number}.ParameterValue"] = value
        return found


def _word(given: str | SecretStr, *, reveal: bool) -> str:
    if isinstance(given, str):
        return shlex.quote(given)
    return shlex.quote(given.get_secret_value()) if reveal else f'"${VARIABLE}"'


def role_arn(account_uid: str) -> str:
    """The role that account-b.yaml makes."""
    return f"acs:ram::{account_uid}:role/{ROLE_NAME}"


def stack_a(region: str, role_arns: list[str], stack_id: str | None = None) -> Command:
    """Account A's stack for these accounts B: made, or (given its id) changed."""
    known = {"StackId": stack_id} if stack_id else {"StackName": STACK_A}
    return Command(
        "UpdateStack" if stack_id else "CreateStack",
        {"RegionId": region, **known, "TimeoutInMinutes": "10"},
        {"RolesB": ",".join(sorted(set(role_arns)))},
        TEMPLATE_A,
    )


def stack_b(region: str, account_a: str, secret: SecretStr, stack_id: str | None = None) -> Command:
    """Account B's stack, run with account B's credentials: made, or (given its id) changed."""
    if stack_id:
        return Command(
            "UpdateStack", {"RegionId": region, "StackId": stack_id}, {"ExternalId": secret}
        )
    return Command(
        "CreateStack",
        {"RegionId": region, "StackName": STACK_B, "TimeoutInMinutes": "10"},
        {"AccountA": account_a, "AuthorizeRole": "ecr-authorize", "ExternalId": secret},
        TEMPLATE_B,
    )


def stack_instance(
    region: str, account_uid: str, secret: SecretStr, group: str, *, change: bool = False
) -> Command:
    """The same in a stack group of a resource directory: this account's own ExternalId."""
    return Command(
        "UpdateStackInstances" if change else "CreateStackInstances",
        {
            "RegionId": region,
            "StackGroupName": group,
            "AccountIds": f'["{account_uid}"]',
            "RegionIds": f'["{region}"]',
        },
        {"ExternalId": secret},
        prefix="ParameterOverrides",
    )


def registry_entry(account_uid: str, name: str, ecr_id: str, region: str) -> str:
    """The account in registry.yaml, under `accounts`; it may ask for one ECR in one region.

    Raises:
        ValueError: The name is more than a line of text.
    """
    if not name.isprintable() or not name.strip():
        raise ValueError("the name is a line of text")
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9 ._-]*", name) and name == name.strip()
    if not plain:
        name = json.dumps(name, ensure_ascii=False)
    return (
        f"  '{account_uid}':\n"
        f"    name: {name}\n"
        f"    role_arn: {role_arn(account_uid)}\n"
        f"    may:\n"
        f"      - ecr_id: {ecr_id}\n"
        f"        regions: [{region}]\n"
    )


Trusts = Literal["current", "next", "both", "neither", "unknown"]


@dataclass(frozen=True)
class Trust:
    """Which key's ExternalId an account B trusts; the cloud's code where it is `unknown`."""

    account_uid: str
    name: str
    trusts: Trusts
    code: str | None = None


def trusts(
    registry: Registry, keys: ExternalIdKeys, sessions: Sessions, after: str = ""
) -> list[Trust]:
    """The next SLICE accounts B after one, each asked by AssumeRole with each ExternalId.

    What is asked for is a session without any right.

    `sessions` are those of the authorize role, which alone is trusted, and new: what is kept from
    earlier would be no answer.
    """

    def asked(account_uid: str) -> Trust:
        account = registry.accounts[account_uid]
        current, following = keys.of(account_uid)
        found: dict[str, bool] = {}
        for which, secret in (("current", current), ("next", following)):
            if secret is None:
                continue
            try:
                sessions.assume(Role(account.role_arn, secret), NOTHING, f"rotation-{which}")
                found[which] = True
            except CloudFailure as failure:
                if failure.cloud_code not in NOT_TRUSTED:
                    return Trust(account_uid, account.name, "unknown", failure.cloud_code)
                found[which] = False
        return Trust(account_uid, account.name, _word_for(found))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        later = sorted(uid for uid in registry.accounts if uid > after)
        return list(pool.map(asked, later[:SLICE]))


def _word_for(found: Mapping[str, bool]) -> Trusts:
    if found.get("current") and found.get("next"):
        return "both"
    if found.get("current"):
        return "current"
    return "next" if found.get("next") else "neither"


def next_step(found: list[Trust], *, changing: bool) -> tuple[str, list[Trust]]:
    """What is to be done now, and for which accounts.

    Args:
        found: How the accounts stand.
        changing: The function has a next key.
    """
    lost = [one for one in found if one.trusts in ("neither", "unknown")]
    waiting = [one for one in found if one.trusts == "current"]
    if lost:
        return _MEND, lost
    if not changing:
        return _BEGIN, []
    return (_DEPLOY, waiting) if waiting else (_END, [])


_MEND: Final = (
    "Mend these first: neither key gets in, or the cloud's code says why it could not be asked. "
    "Deploy account B's stack with its ExternalId, or take the account out of registry.yaml."
)
_BEGIN: Final = (
    "No change is under way. To begin one, make a key of 32 characters or more, set it as "
    "EXTERNAL_ID_KEY_NEXT beside EXTERNAL_ID_KEY, and run `s deploy`."
)
_DEPLOY: Final = (
    "Deploy the ExternalId of the next key in these accounts, in any order and at any pace: until "
    "then the current one goes on working."
)
_END: Final = (
    "Every account trusts the next key. Set it as EXTERNAL_ID_KEY, take EXTERNAL_ID_KEY_NEXT away, "
    "run `s deploy`; then the old key can be destroyed."
)
