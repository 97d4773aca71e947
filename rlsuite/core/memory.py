"""What a configuration will need in memory, so that one that cannot fit is refused before anything is built."""

from __future__ import annotations

import itertools
import os
from typing import Any

import torch

NUMBER = 4
"""Bytes of a float32."""


def check_memory(config: Any, obs_size: int, num_envs: int, device: torch.device) -> None:
    """Raise if networks, rollout or replay buffer of `config` need more memory than the device has.

    Counted are the parameters four times (with their gradient and Adam's two averages) for actor and critic, one pass
    of the widest layer over a rollout or minibatch, and the stored transitions; other things come on top.

    Args:
        config: any configuration; the sizes that it lacks count as nothing.
        obs_size: O, numbers in an observation.
        num_envs: B.
        device: where all of it lives.

    Raises:
        ValueError: names the part, its estimate, what there is, and the field to lower.
    """
    layers = getattr(config, "net_arch", None) or getattr(config, "hidden", None) or ()
    sizes = (obs_size, *layers, 1)
    weights = sum(a * b for a, b in itertools.pairwise(sizes))
    rows = (getattr(config, "n_steps", None) or 0) * num_envs or getattr(config, "batch_size", None) or 1
    fields = config.__class__.__name__
    parts = {
        f"a rollout or minibatch of {rows:,} observations of {obs_size:,} numbers": rows * (obs_size + 1),
        f"the networks ({fields}.net_arch={layers})": 8 * weights + rows * max(layers, default=0),
        f"the replay buffer ({fields}.buffer_size)": (getattr(config, "buffer_size", None) or 0) * (2 * obs_size + 3),
    }
    there = memory_bytes(device)
    for what, numbers in parts.items():
        if there is not None and numbers * NUMBER > there:
            raise ValueError(
                f"{what} would take about {numbers * NUMBER / 2**30:,.1f} GiB, {device} has {there / 2**30:,.1f} GiB "
                "in all; lower it (or n_steps, batch_size and num_envs)"
            )


def memory_bytes(device: torch.device) -> int | None:
    """Memory of the device in bytes; None where the system does not report it."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
