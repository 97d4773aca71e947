"""One run in a process of its own: `python -m rlsuite_zoo.runs.worker FOLDER THREADS [stdin]`, started by `launch`.

With the word "stdin" it stops when its standard input ends, that is with its parent.
"""

from __future__ import annotations

import io
import sys

from rlsuite_zoo.runs.stopping import end_with_stdin

IN_USE = 3
"""Exit code where another process runs the folder, which is left as it is."""


def main() -> int:
    """Exit code 0 when finished, 130 when stopped, 1 when failed (status.json and log.txt say why), IN_USE."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if "stdin" in sys.argv[3:]:
        end_with_stdin()  # before torch is imported, which takes seconds
    try:
        from rlsuite_zoo.errors import Interrupted
    except KeyboardInterrupt:
        return 130
    try:
        from rlsuite_zoo.runs.folder import RunFolder
        from rlsuite_zoo.runs.lease import InUse
        from rlsuite_zoo.runs.train import run

        try:
            run(RunFolder(sys.argv[1]), threads=int(sys.argv[2]))
        except InUse as error:
            print(error)
            return IN_USE
    except (Interrupted, KeyboardInterrupt):
        return 130
    except Exception as error:
        print(f"{type(error).__name__}: {error}")  # `run` has written the traceback where the training raised it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
