"""RAM: may this caller do this? Default deny, an explicit Deny wins. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from localcloud.call import Caller

Policy = Mapping[str, Any]
Context = Mapping[str, str]


class PolicyError(ValueError):
    """A policy document that RAM would not take: what is wrong, and where in it."""


def allowed(caller: Caller, action: str, resource: str, context: Context) -> bool:
    """Whether `caller` may do `action` on `resource`.

    An account's own root may do all within it. A session can do only what both the role's
    policies and its session policy allow.
    """
    if caller.identity == "root":
        return f":{caller.account_uid}:" in resource
    if not _policies_allow(caller.policies, action, resource, context):
        return False
    if caller.session_policy is None:
        return True
    return _policies_allow((caller.session_policy,), action, resource, context)


def trusts(trust: Policy, principal: Mapping[str, str], context: Context) -> bool:
    """Whether a role's trust policy lets `principal` assume it.

    Args:
        trust: The trust policy.
        principal: `RAM`: the caller's ARN and `account`: its account id; or `Service`: its name.
        context: Condition keys, `sts:ExternalId` among them.
    """
    verdicts = [
        statement["Effect"]
        for statement in _statements(trust)
        if _is_about(statement, "sts:AssumeRole")
        and _names(statement["Principal"], principal)
        and _conditions_hold(statement.get("Condition", {}), context)
    ]
    return "Allow" in verdicts and "Deny" not in verdicts


def check(policy: Policy, *, trust: bool = False) -> None:
    """Do nothing where RAM would take `policy`.

    Raises:
        PolicyError: It would not.
    """
    if not isinstance(policy, Mapping) or policy.get("Version") != "1":
        raise PolicyError('a policy is an object with "Version": "1"')
    extra = policy.keys() - {"Version", "Statement"}
    if extra:
        raise PolicyError(f"unknown key {min(extra)!r} in a policy")
    statements = policy.get("Statement")
    if not isinstance(statements, Sequence) or isinstance(statements, str) or not statements:
        raise PolicyError("Statement is a list that is not empty")
    for number, statement in enumerate(statements):
        try:
            _check_statement(statement, trust=trust)
        except PolicyError as error:
            raise PolicyError(f"Statement[{number}]: {error}") from None


def _check_statement(statement: Any, *, trust: bool) -> None:
    if not isinstance(statement, Mapping):
        raise PolicyError("a statement is an object")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError("Effect is Allow or Deny")
    who_or_what = {"Principal"} if trust else {"Resource", "NotResource"}
    extra = statement.keys() - {"Effect", "Action", "NotAction", "Condition", "Sid"} - who_or_what
    if extra:
        raise PolicyError(f"unknown key {min(extra)!r}")
    pairs = [("Action", "NotAction")] + ([] if trust else [("Resource", "NotResource")])
    for one, other in pairs:
        if (one in statement) == (other in statement):
            raise PolicyError(f"either {one} or {other} is given")
    if trust and not isinstance(statement.get("Principal"), Mapping):
        raise PolicyError("Principal is an object")
    _check_conditions(statement.get("Condition", {}))


def _check_conditions(conditions: Any) -> None:
    if not isinstance(conditions, Mapping):
        raise PolicyError("Condition is an object")
    for operator, keys in conditions.items():
        if operator not in _OPERATORS:
            raise PolicyError(f"unknown condition operator {operator!r}")
        if not isinstance(keys, Mapping):
            raise PolicyError(f"{operator} is an object of keys and values")


def _policies_allow(
    policies: Iterable[Policy], action: str, resource: str, context: Context
) -> bool:
    verdicts = {
        statement["Effect"]
        for policy in policies
        for statement in _statements(policy)
        if _applies(statement, action, resource, context)
    }
    return "Allow" in verdicts and "Deny" not in verdicts


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Context) -> bool:
    if not _is_about(statement, action):
        return False
    if "Resource" in statement:
        fits = _matches(_listed(statement["Resource"]), resource)
    else:
        fits = not _matches(_listed(statement["NotResource"]), resource)
    return fits and _conditions_hold(statement.get("Condition", {}), context)


def _is_about(statement: Mapping[str, Any], action: str) -> bool:
    if "Action" in statement:
        return _matches(_listed(statement["Action"]), action, ignore_case=True)
    return not _matches(_listed(statement["NotAction"]), action, ignore_case=True)


def _statements(policy: Policy) -> Sequence[Mapping[str, Any]]:
    statements: Sequence[Mapping[str, Any]] = policy["Statement"]
    return statements


def _names(principals: Mapping[str, Any], principal: Mapping[str, str]) -> bool:
    if "Service" in principal:
        return principal["Service"] in _listed(principals.get("Service", []))
    root = f"acs:ram::{principal['account']}:root"
    named = _listed(principals.get("RAM", []))
    return any(one in ("*", root) or one == principal["RAM"] for one in named)


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]


def _matches(patterns: Iterable[str], text: str, *, ignore_case: bool = False) -> bool:
    return any(_pattern(pattern, ignore_case).fullmatch(text) for pattern in patterns)


@lru_cache(maxsize=4096)
def _pattern(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    return all(
        _OPERATORS[operator](context.get(key), _listed(values))
        for operator, keys in conditions.items()
        for key, values in keys.items()
    )


def _any(test: Callable[[str, str], bool]) -> Callable[[str | None, list[str]], bool]:
    """Holds where the key is there and one of the values fits."""

    def holds(given: str | None, values: list[str]) -> bool:
        try:
            return given is not None and any(test(given, value) for value in values)
        except ValueError:
            return False

    return holds


def _none(test: Callable[[str, str], bool]) -> Callable[[str | None, list[str]], bool]:
    """Holds where the key is not there or none of the values fits."""
    positive = _any(test)
    return lambda given, values: not positive(given, values)


def _like(given: str, value: str) -> bool:
    return _matches([value], given)


def _in_network(given: str, value: str) -> bool:
    return ipaddress.ip_address(given) in ipaddress.ip_network(value, strict=False)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


_OPERATORS: Final[dict[str, Callable[[str | None, list[str]], bool]]] = {
    "StringEquals": _any(lambda given, value: given == value),
    "StringNotEquals": _none(lambda given, value: given == value),
    "StringEqualsIgnoreCase": _any(lambda given, value: given.lower() == value.lower()),
    "StringNotEqualsIgnoreCase": _none(lambda given, value: given.lower() == value.lower()),
    "StringLike": _any(_like),
    "StringNotLike": _none(_like),
    "NumericEquals": _any(lambda given, value: float(given) == float(value)),
    "NumericNotEquals": _none(lambda given, value: float(given) == float(value)),
    "NumericLessThan": _any(lambda given, value: float(given) < float(value)),
    "NumericLessThanEquals": _any(lambda given, value: float(given) <= float(value)),
    "NumericGreaterThan": _any(lambda given, value: float(given) > float(value)),
    "NumericGreaterThanEquals": _any(lambda given, value: float(given) >= float(value)),
    "DateEquals": _any(lambda given, value: _moment(given) == _moment(value)),
    "DateNotEquals": _none(lambda given, value: _moment(given) == _moment(value)),
    "DateLessThan": _any(lambda given, value: _moment(given) < _moment(value)),
    "DateLessThanEquals": _any(lambda given, value: _moment(given) <= _moment(value)),
    "DateGreaterThan": _any(lambda given, value: _moment(given) > _moment(value)),
    "DateGreaterThanEquals": _any(lambda given, value: _moment(given) >= _moment(value)),
    "Bool": _any(lambda given, value: given.lower() == value.lower()),
    "IpAddress": _any(_in_network),
    "NotIpAddress": _none(_in_network),
}
