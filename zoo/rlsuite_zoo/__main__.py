"""`python -m rlsuite_zoo` is the console script `rlsuite`.

Imports nothing heavy: what can go wrong before the command line is read, while torch is imported for seconds, is said
in one line here.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        os.getcwd()
    except OSError:
        # Arithmetic libraries end the process without a word of their own that helps.
        print("rlsuite: the current folder does not exist any more; change to another one (cd)", file=sys.stderr)
        return 2
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        # At once, because packages turn an interrupt of their import into errors of their own.
        signal.signal(signal.SIGINT, _stop_now)
    from rlsuite_zoo.cli import main as command_line

    signal.signal(signal.SIGINT, before)
    return command_line()


def _stop_now(number: int, frame: FrameType | None) -> None:
    os.write(2, b"rlsuite: stopped\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
