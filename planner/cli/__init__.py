"""The command line: ``needle-planner`` and ``python -m planner``.

Results go to stdout (JSON with ``--json``), everything else to stderr. Exit codes:
0 ok, 1 ran but nothing feasible or verification failed, 2 usage, 3 bad input,
4 internal error, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

EXIT_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command line ``argv`` (by default that of the process)."""
    from typer.exceptions import TyperException
    from typer.main import get_command

    from planner.cli.app import app

    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = get_command(app).main(
            args=arguments, prog_name="needle-planner", standalone_mode=False
        )
        sys.stdout.flush()
    except TyperException as error:
        from planner.cli.targets import spaced_target

        show, advice = getattr(error, "show", None), spaced_target(arguments)
        if advice is not None:
            sys.stderr.write(f"error: {advice}\n")
        elif show is None:
            sys.stderr.write(f"error: {error.format_message()}\n")
        else:
            show()
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output left (`... | head`); keep Python from saying so at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return code if isinstance(code, int) else 0
