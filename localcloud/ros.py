"""ROS: stacks made from templates; the types and functions below, and nothing else.

A template that uses more than this is refused with the line, never half obeyed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from localcloud import ram, yamlfile
from localcloud.ros_types import TYPES, Parameter, Shape
from localcloud.yamlfile import At

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from localcloud.ros_types import Properties
    from localcloud.yamlfile import Place

_LARGEST: Final = 524_288
_LONGEST_POLICY: Final = 6144
_VARIABLE: Final = re.compile(r"\$\{(!?)([^}]*)\}")


class TemplateError(ValueError):
    """A template or its parameters that ROS would not take: the file, the line, the reason."""


@dataclass(frozen=True)
class Resource:
    """A resource of a stack: its type, and its properties once every function is worked out."""

    type: str
    properties: Properties


@dataclass(frozen=True)
class Stack:
    """What a template has made in one account and region.

    Args:
        name: The stack's name.
        resources: By their name in the template, those first that others build upon.
        outputs: What it tells.
        parameters: What it was made with; a NoEcho parameter is masked.
    """

    name: str
    resources: Mapping[str, Resource]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


class Template:
    """A template, read and checked as far as it can be without parameters.

    Raises:
        TemplateError: It is none.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._root: Any = None
        try:
            if len(text.encode()) > _LARGEST:
                raise At((), f"larger than {_LARGEST} bytes")
            document, self._root = yamlfile.read(text)
            self.shape = Shape.model_validate(document)
        except ValidationError as error:
            raise self._invalid(error, ()) from None
        except At as error:
            raise self._error(error.place, str(error)) from None
        except ValueError as error:
            raise TemplateError(f"{name}: {error}") from None

    @classmethod
    def load(cls, path: Path) -> Template:
        """The template in a file. Raises TemplateError."""
        try:
            return cls(path.read_text("utf-8"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateError(f"{path.name}: {error}") from None

    def create(
        self, parameters: Mapping[str, str], *, account_uid: str, region: str, name: str
    ) -> Stack:
        """The stack that the template makes of `parameters`.

        Raises:
            TemplateError: A parameter is missing, unknown or against its rules; a resource, a
                property or a function is not known here.
        """
        given = self._parameters(parameters)
        pseudo = {"TenantId": account_uid, "Region": region, "StackName": name}
        making = _Making(self.shape, given, {f"ALIYUN::{key}": one for key, one in pseudo.items()})
        try:
            for resource in self.shape.Resources:
                making.resource(resource)
            outputs = making.outputs()
        except At as error:
            raise self._error(error.place, str(error)) from None
        except _Unfit as error:
            raise self._invalid(error.error, error.place) from None
        hidden = self.shape.secret
        shown = {key: "******" if key in hidden else one for key, one in given.items()}
        return Stack(name, making.made, outputs, shown)

    def _parameters(self, given: Mapping[str, str]) -> dict[str, str]:
        unknown = given.keys() - self.shape.Parameters.keys()
        if unknown:
            raise TemplateError(f"{self._name}: it has no parameter {min(unknown)!r}")
        values = {}
        for name, rules in self.shape.Parameters.items():
            value = given.get(name, rules.Default)
            if value is None:
                raise self._error(("Parameters", name), "no value is given")
            reason = _against(rules, value)
            if reason:  # the value is not said: it may be a secret
                raise self._error(("Parameters", name), rules.ConstraintDescription or reason)
            values[name] = value
        return values

    def _error(self, place: Place, reason: str) -> TemplateError:
        line = yamlfile.line(self._root, place)
        return TemplateError(f"{self._name}:{line}: {yamlfile.dotted(place, 'template')}: {reason}")

    def _invalid(self, error: ValidationError, place: Place) -> TemplateError:
        faults = error.errors(include_url=False, include_input=False)
        return TemplateError(
            "\n".join(str(self._error((*place, *one["loc"]), one["msg"])) for one in faults)
        )


def _against(rules: Parameter, value: object) -> str | None:
    """The rule that the value breaks. As in Python's `$`, a last newline slips past a pattern."""
    if not isinstance(value, str):
        return "the value is a string"
    if not rules.MinLength <= len(value) <= rules.MaxLength:
        return f"the value has {rules.MinLength} to {rules.MaxLength} characters"
    if rules.AllowedPattern is not None and not re.match(rules.AllowedPattern, value):
        return f"the value does not fit {rules.AllowedPattern}"
    if rules.AllowedValues is not None and value not in rules.AllowedValues:
        return f"the value is one of {', '.join(rules.AllowedValues)}"
    return None


class _Unfit(Exception):
    def __init__(self, error: ValidationError, place: Place) -> None:
        super().__init__()
        self.error = error
        self.place = place


class _Making:
    """One stack on its way: resources are made when they, or what they give, are asked for."""

    def __init__(
        self, shape: Shape, parameters: Mapping[str, str], pseudo: Mapping[str, str]
    ) -> None:
        self._shape = shape
        self._names = {**parameters, **pseudo}
        self._account_uid = pseudo["ALIYUN::TenantId"]
        self._under_way: list[str] = []
        self.made: dict[str, Resource] = {}
        self._functions: dict[str, Callable[[Any, Place], Any]] = {
            "Ref": self._ref,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::GetAtt": self._get_att,
        }

    def resource(self, name: str) -> Resource:
        """The resource is made, and before it what it needs."""
        place: Place = ("Resources", name)
        if name in self.made:
            return self.made[name]
        if name in self._under_way:
            raise At(place, f"needs itself: {' -> '.join([*self._under_way, name])}")
        self._under_way.append(name)
        given = self._shape.Resources[name]
        for other in given.DependsOn:
            if other not in self._shape.Resources:
                raise At((*place, "DependsOn"), f"there is no resource {other!r}")
            self.resource(other)
        if given.Type not in TYPES:
            raise At((*place, "Type"), f"the type {given.Type!r} is not known here")
        where = (*place, "Properties")
        values = self._value(given.Properties, where)
        try:
            properties = TYPES[given.Type].model_validate(values)
        except ValidationError as error:
            raise _Unfit(error, where) from None
        for path, policy, trust in properties.policies():
            _check_policy(policy, (*where, *path), trust=trust)
        self.made[name] = Resource(given.Type, properties)
        self._under_way.pop()
        return self.made[name]

    def outputs(self) -> dict[str, Any]:
        """The outputs; one that would show a NoEcho parameter is refused."""
        shown = {}
        for name, output in self._shape.Outputs.items():
            place: Place = ("Outputs", name, "Value")
            text = json.dumps(output.Value)
            for secret in self._shape.secret:
                if re.search(rf"\b{re.escape(secret)}\b", text):
                    raise At(place, f"it would show the NoEcho parameter {secret!r}")
            shown[name] = self._value(output.Value, place)
            for secret in self._shape.secret:  # also by way of a resource that bears it
                if self._names[secret] and self._names[secret] in json.dumps(shown[name]):
                    raise At(place, f"it would show the NoEcho parameter {secret!r}")
        return shown

    def _value(self, node: Any, place: Place) -> Any:
        if isinstance(node, list):
            return [self._value(one, (*place, number)) for number, one in enumerate(node)]
        if not isinstance(node, dict):
            return node
        functions = [key for key in node if key == "Ref" or str(key).startswith("Fn::")]
        if not functions:
            return {key: self._value(one, (*place, key)) for key, one in node.items()}
        if len(node) > 1:
            raise At(place, f"{functions[0]} stands beside other keys")
        name = functions[0]
        if name not in self._functions:
            raise At(place, f"the function {name} is not known here")
        return self._functions[name](node[name], (*place, name))

    def _ref(self, name: Any, place: Place) -> str:
        if not isinstance(name, str) or name not in self._names:
            raise At(place, f"there is no parameter {name!r} (of a resource, use Fn::GetAtt)")
        return self._names[name]

    def _sub(self, given: Any, place: Place) -> str:
        """What is put in is not looked at again: a value with `${...}` in it stays as it is."""
        if not isinstance(given, str):
            raise At(place, "Fn::Sub takes a string here")

        def found(one: re.Match[str]) -> str:
            kept, name = one.groups()
            if kept:
                return f"${{{name}}}"
            if name in self._names:
                return self._names[name]
            resource, _, attribute = name.partition(".")
            return self._get_att([resource, attribute], place)

        return _VARIABLE.sub(found, given)

    def _join(self, given: Any, place: Place) -> str:
        delimiter, parts = self._two(given, place)
        if not isinstance(parts, list) or not all(isinstance(one, str) for one in parts):
            raise At(place, "Fn::Join takes a list of strings")
        return str(delimiter).join(parts)

    def _split(self, given: Any, place: Place) -> list[str]:
        delimiter, text = self._two(given, place)
        if not isinstance(text, str):
            raise At(place, "Fn::Split takes a string")
        return text.split(delimiter)

    def _two(self, given: Any, place: Place) -> tuple[str, Any]:
        if not isinstance(given, list) or len(given) != 2 or not isinstance(given[0], str):  # noqa: PLR2004 -- a pair
            raise At(place, "the function takes a delimiter and a value")
        return given[0], self._value(given[1], (*place, 1))

    def _get_att(self, given: Any, place: Place) -> str:
        if not isinstance(given, list) or len(given) != 2:  # noqa: PLR2004 -- a pair
            raise At(place, "Fn::GetAtt takes a resource and an attribute")
        name, attribute = given
        if name not in self._shape.Resources:
            raise At(place, f"there is no parameter and no resource {name!r}")
        attributes = self.resource(name).properties.attributes(self._account_uid)
        if attribute not in attributes:
            raise At(place, f"{name} has no attribute {attribute!r}")
        return attributes[attribute]


def _check_policy(policy: dict[str, Any], place: Place, *, trust: bool) -> None:
    try:
        ram.check(policy, trust=trust)
    except ram.PolicyError as error:
        raise At(place, str(error)) from None
    size = len(json.dumps(policy, separators=(",", ":")))
    if size > _LONGEST_POLICY:
        raise At(place, f"the policy has {size} characters of {_LONGEST_POLICY}")
