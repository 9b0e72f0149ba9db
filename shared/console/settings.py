"""What the console is told by its environment: where it is reached, and whose word it takes.

Nothing heavy is imported here: the settings are checked at every start, pages are seldom asked for.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from shared.contract import Model

SENDER: Final = "console"
"""The registry's name for what people ask for in the console."""
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KINDS: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "ES384": "EC"}
_SHORTEST_SECRET: Final = 32
_HOST: Final = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?"
_HEADER: Final = r"header:[a-z][a-z0-9-]{1,63}"
_COOKIE: Final = r"cookie:[A-Za-z_][A-Za-z0-9_-]{1,63}"


class BadConsole(ValueError):
    """CONSOLE or CONSOLE_SECRET cannot be used: why, without what they hold."""


class ConsoleSettings(Model):
    """How people sign in, and where the console is.

    Args:
        url: Where intake is reached by a browser: `https://ecr.example.com`, without a `/` behind.
        issuer: Whose tokens are taken.
        audience: Whom they must be for.
        keys: The issuer's public keys, a JWK set.
        algorithm: The one algorithm that tokens may be signed by.
        token: Where a token comes: `header:NAME` or `cookie:NAME`; `header:authorization` is a
            bearer token.
        roles: The claim whose values the registry's `console` names.
        name: The claim by which a person is called, in requests and in the audit trail.
        sign_in_url: Where somebody is sent who is not signed in.
    """

    url: Annotated[
        str,
        Field(
            pattern=rf"^(https://{_HOST}|http://127\.0\.0\.1(:[0-9]{{1,5}})?)(/[A-Za-z0-9._/-]*)?$"
        ),
    ]
    issuer: Annotated[str, Field(min_length=1, max_length=500)]
    audience: Annotated[str, Field(min_length=1, max_length=500)]
    keys: dict[Literal["keys"], Annotated[list[dict[str, Any]], Field(min_length=1, max_length=8)]]
    algorithm: Literal["RS256", "PS256", "ES256", "ES384"]
    token: Annotated[str, Field(pattern=rf"^({_HEADER}|{_COOKIE})$")]
    roles: str = "roles"
    name: str = "email"
    sign_in_url: Annotated[
        str | None,
        Field(pattern=rf"^(https://{_HOST}|http://127\.0\.0\.1(:[0-9]{{1,5}})?)(/[!-~]*)?$"),
    ] = None

    @property
    def origin(self) -> str:
        """Scheme, host and port, as a browser names them."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    @property
    def base(self) -> str:
        """The path before `/console`; empty at the root of a host."""
        return self.url.removeprefix(self.origin).rstrip("/")

    @field_validator("keys")
    @classmethod
    def _are_public(cls, value: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
        for key in value["keys"]:
            if _PRIVATE & key.keys():
                raise ValueError("a key is private, or shared: only public keys belong here")
            if len(value["keys"]) > 1 and not key.get("kid"):
                raise ValueError("of several keys each needs a kid")
        return value

    @model_validator(mode="after")
    def _fit_the_algorithm(self) -> ConsoleSettings:
        if any(key.get("kty") != _KINDS[self.algorithm] for key in self.keys["keys"]):
            raise ValueError(f"a key is of a kind that {self.algorithm} has no use for")
        return self


def read(text: str, secret: SecretStr) -> ConsoleSettings | None:
    """The settings; None where there are none, and so no console.

    Args:
        text: JSON, as the function's environment has it.
        secret: By which forms are bound to the person who was shown them.

    Raises:
        BadConsole: They are not what they should be.
    """
    if not text.strip():
        return None
    if len(secret.get_secret_value()) < _SHORTEST_SECRET:
        raise BadConsole(f"CONSOLE_SECRET: it needs {_SHORTEST_SECRET} characters at least")
    try:
        return ConsoleSettings.model_validate_json(json.dumps(json.loads(text)))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        shown = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in faults[:5]]
        raise BadConsole("CONSOLE: " + "; ".join(shown)) from None
    except ValueError:
        raise BadConsole("CONSOLE: it is no JSON") from None
