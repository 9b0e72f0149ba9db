"""registry.yaml: who is who, and what each may ask for; checked as strictly as a request."""

from __future__ import annotations

from shared.external_ids import check_key, external_id
from shared.registry.cleaning import Brake, Cleanup, CleanupRules, Exemption, Freeze
from shared.registry.model import (
    Account,
    Allowed,
    Chat,
    ConsoleRole,
    CrossAccountVbr,
    Ecr,
    Reader,
    Registry,
    Requires,
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
    "Chat",
    "Cleanup",
    "CleanupRules",
    "ConsoleRole",
    "CrossAccountVbr",
    "Ecr",
    "Exemption",
    "Freeze",
    "Reader",
    "Registry",
    "Requires",
    "Scope",
    "Sender",
    "check_key",
    "external_id",
    "load",
]
