"""`python -m rlsuite_zoo` is the console script `rlsuite`."""

import sys

from rlsuite_zoo.cli import main

sys.exit(main())
