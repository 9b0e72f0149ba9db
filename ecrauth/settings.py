"""What a command works with: the environment, above a profile file that holds the same names."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ecrauth.exits import Exit, Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import typer

NAMES: Final[dict[str, str]] = {
    "ECRAUTH_URL": "where intake is reached: https://…; by it requests are posted and looked up",
    "ECRAUTH_SECRET": "the sender's webhook secret (whsec_…), which signs what is posted",
    "ECRAUTH_TOKEN": "the reader's bearer token, for status, wait and list",
    "LEDGER_URL": "the functions' database; where ECRAUTH_URL is not set, it is read instead",
    "FC_ACCOUNT_ID": "account A's id",
    "FC_REGION": "the region that the functions are in",
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "account A's access key, for queues and functions",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "its secret",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "its token, where it is temporary",
    "ALIBABA_CLOUD_ENDPOINT_MNS": "instead of the cloud's own endpoint",
    "ALIBABA_CLOUD_ENDPOINT_FC": "the same, of Function Compute",
    "ALIBABA_CLOUD_ENDPOINT_FC2": "the same, of Function Compute 2.0",
    "ALIBABA_CLOUD_ENDPOINT_EXPRESSCONNECTROUTER": "the same, of ECR",
    "ALIBABA_CLOUD_ENDPOINT_STS": "the same, of STS",
    "ALIBABA_CLOUD_ENDPOINT_VPC": "the same, of VPC",
    "REQUEST_QUEUE": "ecr-requests, if it has another name",
    "ATTACHMENT_QUEUE": "ecr-attachments, if it has another name",
    "DEAD_LETTER_QUEUE": "ecr-requests-dead, if it has another name",
    "RESULT_TOPIC": "ecr-results, if it has another name",
    "REGISTRY_FILE": "registry.yaml, if it is elsewhere",
    "MAPPINGS_FOLDER": "mappings, if they are elsewhere; for `request --mapping`",
    "EXTERNAL_ID_KEY": "the key of the ExternalIds, for `account`",
    "EXTERNAL_ID_KEY_NEXT": "the one that comes next, while it is changed",
}
SECRET: Final = frozenset(
    {
        "ECRAUTH_SECRET",
        "ECRAUTH_TOKEN",
        "LEDGER_URL",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
        "EXTERNAL_ID_KEY",
        "EXTERNAL_ID_KEY_NEXT",
    }
)
DEFAULTS: Final = {
    "REQUEST_QUEUE": "ecr-requests",
    "ATTACHMENT_QUEUE": "ecr-attachments",
    "DEAD_LETTER_QUEUE": "ecr-requests-dead",
    "RESULT_TOPIC": "ecr-results",
    "MAPPINGS_FOLDER": "mappings",
}


@dataclass(frozen=True)
class Settings:
    """Names and what they are set to; the values do not show in a repr.

    Args:
        values: The environment above the profile.
        sources: Where each value comes from: `environment`, or the profile's path.
    """

    values: Mapping[str, str] = field(repr=False)
    sources: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """What is set, the default, or an empty string."""
        return self.values.get(name) or DEFAULTS.get(name, "")

    def need(self, name: str) -> str:
        """What is set. Raises Failed, which says how to set it."""
        value = self.get(name)
        if not value:
            where = f"set it in the environment or in a profile ({NAMES[name]})"
            raise Failed(f"{name} is not set", where)
        return value


def load(environ: Mapping[str, str], profile: str | None) -> Settings:
    """The settings.

    Args:
        environ: The process's environment.
        profile: A name (`local`: local.yaml in the folder of profiles) or a file; None: what
            ECRAUTH_PROFILE says, else the profile `default` where there is one.

    Raises:
        Failed: There is no such profile, or it cannot be used.
    """
    chosen = profile or environ.get("ECRAUTH_PROFILE")
    path = _path(environ, chosen or "default")
    given = {} if chosen is None and not path.is_file() else _read(path)
    values = {name: environ[name] for name in NAMES if environ.get(name)}
    sources = dict.fromkeys(given, str(path)) | dict.fromkeys(values, "environment")
    return Settings(given | values, sources)


def of(context: typer.Context) -> Settings:
    """The settings of the command at hand. Raises Failed."""
    return load(os.environ, context.obj)


def folder(environ: Mapping[str, str]) -> Path:
    """Where profiles are looked for by their names."""
    home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".config"
    return Path(home) / "ecrauth"


def _path(environ: Mapping[str, str], profile: str) -> Path:
    if os.sep in profile or profile.endswith((".yaml", ".yml")):
        return Path(profile).expanduser()
    return folder(environ) / f"{profile}.yaml"


def _read(path: Path) -> dict[str, str]:
    import yaml

    try:
        given: Any = yaml.safe_load(path.read_text("utf-8")) or {}
    except FileNotFoundError:
        raise Failed(f"there is no profile {path}", "give --profile another one") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failed(f"the profile {path} cannot be read ({type(error).__name__})") from None
    if not isinstance(given, dict):
        raise Failed(f"the profile {path} is no list of names", "write `NAME: value` lines")
    for name, value in given.items():
        if name not in NAMES:
            raise Failed(f"the profile {path} has {name!r}", "`ecrauth settings` lists the names")
        if not isinstance(value, str):
            raise Failed(f"{name} in {path} is no text", f"write {name}: '…', in quotes")
    _check_private(path, given)
    return given


def _check_private(path: Path, given: Mapping[str, str]) -> None:
    """Who else is on this machine is not to read a secret."""
    if SECRET & given.keys() and path.stat().st_mode & 0o077:
        what = f"the profile {path} holds secrets and can be read by others"
        raise Failed(what, f"chmod 600 {path}", Exit.ERROR)
