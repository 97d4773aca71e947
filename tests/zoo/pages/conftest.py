"""Pages are about what they show: their runs train in this process."""

import pytest


@pytest.fixture(autouse=True)
def _in_this_process(in_this_process: None) -> None:
    pass
