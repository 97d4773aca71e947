"""Copies of agents, by `copy.deepcopy` and `pickle`: through a checkpoint, which holds all that an agent is.

Copying the object's attributes instead would leave closures bound to the original's networks, and flat parameters apart
from the networks that are views of them: a copy that looks trained and is not, or acts by the original's weights.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

__all__ = ["parts_of", "rebuild"]

NAME = "model.zip"


def parts_of(agent: Any, env: Any) -> tuple[Any, ...]:
    """What `rebuild` makes an equal agent from.

    Args:
        agent: to be copied.
        env: to train on in: an id, a vector environment (copied with the rest), or None.
    """
    with tempfile.TemporaryDirectory() as folder:
        agent.save(Path(folder, NAME))
        data = Path(folder, NAME).read_bytes()
    options = {"verbose": agent.verbose, "tensorboard_log": agent.tensorboard_log}
    return type(agent), data, env, str(agent.device), options


def rebuild(cls: Any, data: bytes, env: Any, device: str, options: dict[str, Any]) -> Any:
    """The agent of these parts; its callbacks and a logger that it was given are not among them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, NAME).write_bytes(data)
        return cls.load(Path(folder, NAME), env, device, **options)
