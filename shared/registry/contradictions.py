"""Where the entries of registry.yaml do not fit each other."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from shared.registry.model import Account, Registry, Scope
    from shared.yamlfile import Place


class Contradiction(ValueError):
    """What no single entry shows: each place in the registry, and the reason."""

    def __init__(self, found: list[tuple[Place, str]]) -> None:
        place, reason = found[0]
        super().__init__(f"{'.'.join(map(str, place))}: {reason}")
        self.all = found


def contradictions(registry: Registry) -> Iterator[tuple[Place, str]]:
    """Where entries do not fit each other."""
    names: dict[str, str] = {}
    for uid, account in registry.accounts.items():
        place: Place = ("accounts", uid)
        if account.role_arn.split(":")[3] != uid:
            yield (*place, "role_arn"), "is a role of another account"
        alike = unicodedata.normalize("NFKC", account.name).casefold()
        if alike in names:
            yield (*place, "name"), f"is {names[alike]}'s name, too"
        names[alike] = uid
        yield from _allowed(registry, account, place)
    yield from _scopes(registry)
    console = registry.senders.get("console")
    if console is not None and console.mapping is not None:
        yield ("senders", "console", "mapping"), "is not for the console: it asks in our own words"
    for number, freeze in enumerate(registry.cleanup.freezes):
        if freeze.until <= freeze.since:
            yield ("cleanup", "freezes", number, "until"), "is not after since"


def _scopes(registry: Registry) -> Iterator[tuple[Place, str]]:
    kinds: dict[str, Mapping[str, Scope]] = {
        "senders": registry.senders,
        "readers": registry.readers,
        "console": registry.console,
    }
    for kind, scopes in kinds.items():
        for name, scope in scopes.items():
            yield from _unknown((kind, name, "accounts"), scope.accounts, registry.accounts)
            yield from _unknown((kind, name, "ecrs"), scope.ecrs, registry.ecrs)
    seen: dict[str, str] = {}
    for name, reader in registry.readers.items():
        for number, token in enumerate(reader.token_sha256):
            if token in seen:
                yield ("readers", name, "token_sha256", number), f"is {seen[token]}'s token, too"
            seen[token] = name


def _allowed(registry: Registry, account: Account, place: Place) -> Iterator[tuple[Place, str]]:
    for number, ecr_id in _twice([allowed.ecr_id for allowed in account.may]):
        yield (*place, "may", number, "ecr_id"), f"names {ecr_id} twice"
    for number, allowed in enumerate(account.may):
        here: Place = (*place, "may", number)
        if allowed.ecr_id not in registry.ecrs:
            yield (*here, "ecr_id"), f"names {allowed.ecr_id}, which is not in ecrs"
        for key, listed in (("regions", allowed.regions), ("instances", allowed.instances or ())):
            for index, one in _twice(listed):
                yield (*here, key, index), f"names {one} twice"


def _twice(listed: Iterable[str]) -> Iterator[tuple[int, str]]:
    """What was there before, each time it comes again."""
    seen: set[str] = set()
    for number, one in enumerate(listed):
        if one in seen:
            yield number, one
        seen.add(one)


def _unknown(
    place: Place, names: Literal["all"] | tuple[str, ...], known: Collection[str]
) -> Iterator[tuple[Place, str]]:
    if names != "all":
        for number, name in _twice(names):
            yield (*place, number), f"names {name} twice"
        for number, name in enumerate(names):
            if name not in known:
                yield (*place, number), f"names {name}, which the registry does not have"
