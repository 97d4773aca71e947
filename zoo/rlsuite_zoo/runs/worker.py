"""One run in a process of its own: `python -m rlsuite_zoo.runs.worker FOLDER THREADS`, started by `launch`."""

from __future__ import annotations

import sys
import traceback

from rlsuite_zoo.errors import Interrupted
from rlsuite_zoo.runs.folder import RunFolder
from rlsuite_zoo.runs.train import run


def main() -> int:
    """Exit code 0 when finished, 130 when stopped, 1 when failed (status.json and log.txt say why)."""
    try:
        run(RunFolder(sys.argv[1]), threads=int(sys.argv[2]))
    except (Interrupted, KeyboardInterrupt):
        return 130
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
