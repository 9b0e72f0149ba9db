"""The functions that s.yaml deploys, and what is to be known of each to pack it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from localcloud.fc import load

if TYPE_CHECKING:
    from pathlib import Path

_NO_DEFAULT: Final = re.compile(r"env\(\s*['\"](\w+)['\"]\s*\)")


@dataclass(frozen=True)
class DeployedFunction:
    """A function of s.yaml.

    Args:
        name: Its name at Function Compute.
        entries: The modules that the platform imports: the handler's, the initializer's, ….
        folder: The name of its package's folder, the last part of `code:`.
        runtime: The version of Python that it runs on: `3.12`.
    """

    name: str
    entries: tuple[str, ...]
    folder: str
    runtime: str


def functions(s_yaml: Path) -> list[DeployedFunction]:
    """Every function in the file. Raises DeploymentError as `localcloud check-deployment` does."""
    # What the environment has to give at `s deploy` is of no matter here.
    unset = dict.fromkeys(_NO_DEFAULT.findall(s_yaml.read_text("utf-8")), "not-set-to-pack")
    found = []
    for props in load(s_yaml, {**unset, **os.environ}).functions.values():
        life = props.instanceLifecycleConfig
        hooks = [one.handler for one in (life.initializer, life.preStop) if one is not None]
        found.append(
            DeployedFunction(
                props.functionName,
                tuple(sorted({_module(handler) for handler in [props.handler, *hooks]})),
                props.code.rstrip("/").rpartition("/")[2],
                props.runtime.removeprefix("python"),
            )
        )
    return found


def _module(handler: str) -> str:
    """`functions/authorize/handler.handler` is in `functions.authorize.handler`."""
    return handler.rpartition(".")[0].replace("/", ".")
