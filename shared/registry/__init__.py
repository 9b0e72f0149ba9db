"""registry.yaml: who is who, and what each may ask for; checked as strictly as a request."""

from __future__ import annotations

from shared.registry.cleaning import Brake, Cleanup, CleanupRules, Exemption, Freeze
from shared.registry.model import (
    Account,
    Allowed,
    ConsoleRole,
    Ecr,
    Reader,
    Registry,
    Scope,
    Sender,
)
from shared.registry.reading import MAX_BYTES, BadRegistry, load

__all__ = [
    "MAX_BYTES",
    "Account",
    "Allowed",
    "BadRegistry",
    "Brake",
    "Cleanup",
    "CleanupRules",
    "ConsoleRole",
    "Ecr",
    "Exemption",
    "Freeze",
    "Reader",
    "Registry",
    "Scope",
    "Sender",
    "load",
]
