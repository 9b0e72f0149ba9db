"""`.venv/bin/ecrauth`, or `python -m ecrauth`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from typer.exceptions import TyperException
from typer.main import get_command

from ecrauth.app import build
from ecrauth.exits import Exit, Failed, explained

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code. What went wrong is one line on the standard error."""
    command = get_command(build(plain=not sys.stdout.isatty()))
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = command.main(args=given, prog_name="ecrauth", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        return _misused(error)
    except (KeyboardInterrupt, BrokenPipeError) as ended:
        return _ended(ended)
    except Failed as failed:
        return _told(failed)
    except Exception as error:
        failed_so = explained(error)
        if failed_so is None or os.environ.get("ECRAUTH_DEBUG"):
            raise
        return _told(failed_so)
    return code if isinstance(code, int) else Exit.DONE


def _told(failed: Failed) -> int:
    print(f"ecrauth: {failed}", file=sys.stderr)  # noqa: T201 -- where errors belong
    return failed.code


def _misused(error: TyperException) -> int:
    """What was typed cannot be; where nothing was typed, the help says what can."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        print(context.get_help(), file=sys.stderr)  # noqa: T201 -- as above
        return Exit.USAGE
    message = " ".join(error.format_message().split())
    path = context.command_path if context is not None else "ecrauth"
    return _told(Failed(message.rstrip("."), f"see `{path} --help`", Exit.USAGE))


def _ended(ended: BaseException) -> int:
    """The reader of our output, or who typed, has had enough."""
    if isinstance(ended, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.ERROR
    return 130


if __name__ == "__main__":
    sys.exit(main())
