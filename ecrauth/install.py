"""`python -m ecrauth.install FILE`: writes the script that runs ecrauth from where it stands."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

_ROOT = Path(__file__).resolve().parents[1]
_SCRIPT = """#!/bin/sh
# Written by make: the command line of this checkout, with the packages of its .venv.
ECRAUTH_ROOT={root} exec {python} -c '
import os, sys
sys.path[0] = os.environ.pop("ECRAUTH_ROOT")
from ecrauth.__main__ import main
sys.exit(main())' "$@"
"""


def install(file: Path) -> None:
    """The script is there, and can be run from any folder."""
    python = quote(str(file.resolve().parent / "python"))
    file.write_text(_SCRIPT.format(root=quote(str(_ROOT)), python=python))
    file.chmod(0o755)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
