"""From an observation as an environment gives it to an action as it takes it, through one policy."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch

from rlsuite.core.actions import ActionSpec
from rlsuite.core.brain import Brain
from rlsuite.core.guard import check_mask, check_rows, forbidding
from rlsuite.core.spaces import add_batch_axis, flatten_obs

__all__ = ["act_on"]


def act_on(
    brain: Brain,
    space: gym.Space[Any],
    spec: ActionSpec,
    device: torch.device,
    observation: Any,
    deterministic: bool,
    action_masks: Any = None,
) -> np.ndarray:
    """Actions for one observation or a batch; normalisation is frozen, Box actions are clipped to the box.

    Args:
        brain: the policy and its normaliser.
        space: of observations.
        spec: of actions.
        device: where the policy lives.
        observation: raw, in `space`; with or without a leading batch axis.
        deterministic: the distribution's mode instead of a sample.
        action_masks: allowed actions [B, A'] bool, [A'] for one observation, or None.

    Returns:
        Actions in the action space's shape and dtype.

    Raises:
        ValueError: the observation does not fit the space, is not finite or too large for float32; or the mask has
            another shape or dtype, or allows nothing in a row.
    """
    batch, single = add_batch_axis(space, observation)
    rows = flatten_obs(space, batch, device)
    check_rows(rows)
    rows = rows.float() if brain.obs_norm is None else brain.obs_norm.normalize(rows)
    mask = None if action_masks is None else _allowed(action_masks, spec, len(rows), device)
    with torch.no_grad():
        action: np.ndarray = spec.to_env(brain.act(rows, mask, deterministic)).cpu().numpy()
    if single:  # an entry of a Box stays an array, as its space wants it; a Discrete action is a number
        action = action[0] if spec.discrete else action[0, ...]
    return action


def _allowed(action_masks: Any, spec: ActionSpec, rows: int, device: torch.device) -> torch.Tensor:
    """The masks given to `predict`, checked, [rows, A'] bool."""
    given = action_masks if isinstance(action_masks, torch.Tensor) else np.asarray(action_masks)
    given = given[None] if given.ndim == 1 else given
    mask = check_mask(given, spec, rows, device, "action_masks given to predict")
    if bool((bad := forbidding(mask, spec)).any()):
        raise ValueError(
            f"action_masks given to predict allow no action, or none for a component of it, in row "
            f"{int(bad.nonzero()[0])}; each needs at least one True"
        )
    return mask
