"""What an adversary or a robustness sweep changes in the simulations: forces, masses and frictions."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import ArrayLike, NDArray

from rlsuite_envs.mujoco.task import Array

__all__ = ["Perturbation"]


class Perturbation:
    """The forces and model scales of B simulations; nothing is expanded until something is set."""

    def __init__(self, batch: Batch, model: mujoco.MjModel) -> None:
        self._batch = batch
        self._model = model
        self._applied: Array = batch.bind("xfrc_applied")
        self._force: Array | None = None
        self._mass_scale: Array | None = None
        self._friction_scale: Array | None = None

    def set_force(self, body_names: str | Sequence[str], force: ArrayLike | None) -> None:
        """See `MujocoPool.set_external_force`."""
        if force is None:
            self._force = None
            self._applied[:] = 0.0
            return
        names = [body_names] if isinstance(body_names, str) else list(body_names)
        ids = self.body_ids(names)
        given = np.asarray(force, np.float64)
        n = self._batch.nsim
        if given.shape not in ((n, len(ids), 3), (n, len(ids), 6)):
            raise ValueError(f"force must have shape ({n}, {len(ids)}, 3) or (.., 6), got {given.shape}.")
        if not np.isfinite(given).all():
            raise ValueError("force holds NaN or infinity.")
        self._force = np.zeros(self._applied.shape)
        self._force[:, ids, : given.shape[2]] = given
        self._applied[:] = self._force

    def push(self, ids: Sequence[int], force: NDArray[np.float64] | None) -> None:
        """Add forces [B, n, 3] on the n bodies ids to those of `set_force` until the next push; None for none.

        The adversary's way: no names, no checks, once per step. A push does not outlive its episode.
        """
        held = self._force
        self._applied[:, ids] = 0.0 if held is None else held[:, ids]
        if force is not None:
            self._applied[:, ids, :3] += force

    def applied(self, ids: Sequence[int]) -> NDArray[np.float64]:
        """Forces [B, n, 3] that now act on the n bodies ids."""
        force: NDArray[np.float64] = self._applied[:, ids, :3].copy()
        return force

    def release(self, rows: NDArray[np.int64]) -> None:
        """Leave the simulations rows with what `set_force` holds, and no push."""
        self._applied[rows] = 0.0 if self._force is None else self._force[rows]

    def body_ids(self, names: Sequence[str]) -> list[int]:
        """The ids of bodies of the model, by name.

        Raises:
            ValueError: an unknown body (naming the nearest), or one named twice.
        """
        ids = [self._body_id(name) for name in names]
        if len(set(ids)) != len(ids):
            raise ValueError(f"body_names={list(names)} names a body twice.")
        return ids

    def restore_force(self, ids: NDArray[np.int32]) -> None:
        """Apply the force again to simulations whose state a reset has just cleared."""
        if self._force is not None:
            self._applied[ids] = self._force[ids]

    def set_scales(self, mass: ArrayLike | Mapping[str, ArrayLike] | None, friction: ArrayLike | None) -> Array | None:
        """See `MujocoPool.set_scales`; returns the masses [B, nbody], or None if they were left alone."""
        model, batch = self._model, self._batch
        if friction is not None:
            self._friction_scale = self._scales("friction", friction, model.ngeom)
            batch.expand("geom_friction")[:] = model.geom_friction * self._friction_scale[:, :, None]
            if model.npair:
                # explicit contact pairs have a friction of their own; one scale per environment applies
                batch.expand("pair_friction")[:] = model.pair_friction * self._friction_scale[:, :1, None]
        if mass is None:
            return None
        scale = self._mass_by_name(mass) if isinstance(mass, Mapping) else self._scales("mass", mass, model.nbody)
        self._mass_scale = scale
        masses: Array = batch.expand("body_mass")
        masses[:] = model.body_mass * scale
        batch.expand("body_inertia")[:] = model.body_inertia * scale[:, :, None]
        batch.set_const()
        return masses

    def _mass_by_name(self, mass: Mapping[str, ArrayLike]) -> Array:
        """Scales [B, nbody] from one entry per named body; the others keep theirs."""
        shape = (self._batch.nsim, self._model.nbody)
        scale = np.ones(shape) if self._mass_scale is None else self._mass_scale.copy()
        for name, value in mass.items():
            scale[:, self._body_id(name)] = self._scales(f"mass[{name!r}]", value, 1)[:, 0]
        return scale

    def _scales(self, name: str, value: ArrayLike, width: int) -> Array:
        """Positive finite scales as an array [B, width]."""
        n = self._batch.nsim
        given = np.asarray(value, np.float64)
        if given.ndim <= 1 and given.size in (1, n):
            given = np.broadcast_to(given.reshape(-1, 1), (n, width))
        if given.shape != (n, width):
            raise ValueError(f"{name} must have shape ({n},) or ({n}, {width}), got {given.shape}.")
        if not (np.isfinite(given) & (given > 0)).all():
            raise ValueError(f"{name} must be positive and finite, got values down to {given.min()}.")
        return given.copy()

    def _body_id(self, name: str) -> int:
        """The id of a body of the model, by name."""
        names = [self._model.body(i).name for i in range(self._model.nbody)]
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=2)
            hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"It has {', '.join(names)}."
            raise ValueError(f"The model has no body {name!r}. {hint}")
        return names.index(name)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """What is set, as arrays; nothing for what is not."""
        parts = {"force": self._force, "mass_scale": self._mass_scale, "friction_scale": self._friction_scale}
        return {name: value.copy() for name, value in parts.items() if value is not None}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> Array | None:
        """Restore what `state_dict` returned; returns the scaled masses as `set_scales` does."""
        self._force = np.array(state["force"], np.float64) if "force" in state else None
        mass, friction = state.get("mass_scale"), state.get("friction_scale")
        # what is set now and was not then goes back to the model's own values
        if mass is None and self._mass_scale is not None:
            mass = np.ones(self._mass_scale.shape)
        if friction is None and self._friction_scale is not None:
            friction = np.ones(self._friction_scale.shape)
        return self.set_scales(mass, friction)
