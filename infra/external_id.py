"""`python -m infra.external_id ACCOUNT_UID`: the ExternalId for that account B's trust policy.

It follows from EXTERNAL_ID_KEY in the environment, the same that the authorize function has.
"""

from __future__ import annotations

import os
import re
import sys

from pydantic import SecretStr

from shared.registry import external_id


def main(arguments: list[str]) -> int:
    """Print the ExternalId; 2 where an argument or the key is wrong."""
    if len(arguments) != 1 or not re.fullmatch(r"[0-9]{16}", arguments[0]):
        sys.stderr.write("usage: python -m infra.external_id ACCOUNT_UID (16 digits)\n")
        return 2
    key = os.environ.get("EXTERNAL_ID_KEY", "")
    try:
        secret = external_id(SecretStr(key), arguments[0])
    except ValueError as error:
        sys.stderr.write(f"EXTERNAL_ID_KEY: {error}\n")
        return 2
    sys.stdout.write(secret.get_secret_value() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
