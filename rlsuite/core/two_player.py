"""A two-player game as an environment of one player: the opponent acts inside `step`.

Whatever trains or judges in a one-player environment (`collect`, PPO, `evaluate`, Stable-Baselines3) so trains and
judges either side. A game is a Gymnasium vector environment whose action is `spaces.Tuple((agent, adversary))` and
whose reward is the agent's (zero-sum: the adversary's is its negative). Both see the same observations and act at once.

    match = Match(ForcedPool("Hopper-v5", 16))
    mine = Versus(match, AGENT, Uniform(match.spaces[ADVERSARY], seed=0))    # the agent's environment
    theirs = Versus(match, ADVERSARY, Learned(model))                        # the adversary's, in the same game

`rlsuite.core.opponents` has the opponents. Letters: B environments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from rlsuite.core import guard
from rlsuite.core.actions import action_spec
from rlsuite.core.opponents import Opponent, Zero, box_bounds

__all__ = ["ADVERSARY", "AGENT", "Match", "Versus", "make_one_player"]

AGENT, ADVERSARY = 0, 1
"""The players' indices in the game's action."""


class Match:
    """A game and its current observations, shared by the views of both players.

    Attributes:
        limit: largest absolute action of the adversary, [B, 1] or None: a handicap per environment within its box.

    Raises:
        ValueError: no game of two players, observations that are no flat Box, or another autoreset mode.
    """

    def __init__(self, game: VectorEnv[Any, Any, Any]) -> None:
        space = game.single_action_space
        if not isinstance(space, spaces.Tuple) or len(space.spaces) != 2:
            raise ValueError(f"a game of two players has actions Tuple((agent, adversary)), not {space}")
        seen = game.single_observation_space
        if not isinstance(seen, spaces.Box) or len(seen.shape) != 1:
            raise ValueError(f"players need observations that are a flat Box, not {seen}; flatten them")
        if game.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            raise ValueError(f"a game must reset in AutoresetMode.SAME_STEP, not {game.metadata.get('autoreset_mode')}")
        self.game = game
        self.spaces = space.spaces
        self.torch = getattr(game, "output", "numpy") == "torch"
        self.device = torch.device(getattr(game, "device", "cpu"))
        self.obs = torch.zeros(game.num_envs, *seen.shape, device=self.device)
        self.started = torch.ones(game.num_envs, dtype=torch.bool, device=self.device)
        self.limit: Tensor | None = None
        self.steps = 0  # of each environment so far, for messages

    def see(self, obs: Any, started: Any) -> None:
        """Store the current observations, on which both players act next."""
        self.obs = torch.as_tensor(obs, device=self.device)
        self.started = torch.as_tensor(started, device=self.device)


class Versus(VectorEnv[Any, Any, Any]):
    """One player's side of a match: an ordinary vector environment with SAME_STEP autoreset.

    Args:
        match: the game, or a game alone; sides that share a match share its episodes.
        player: `AGENT` or `ADVERSARY`, whose environment this is.
        opponent: the other side; None is `Zero`.
        adv_fraction: share of its box that the adversary has, in [0, 1].

    Attributes:
        opponent: may be replaced at any time.

    Raises:
        ValueError: no game, an unknown player, or a fraction out of range.
    """

    def __init__(
        self,
        match: Match | VectorEnv[Any, Any, Any],
        player: int,
        opponent: Opponent | None = None,
        *,
        adv_fraction: float = 1.0,
    ) -> None:
        if player not in (AGENT, ADVERSARY):
            raise ValueError(f"player is {player!r}; it must be AGENT (0) or ADVERSARY (1)")
        if not 0 <= adv_fraction <= 1:
            raise ValueError(f"adv_fraction is {adv_fraction!r}; it must lie in [0, 1]")
        self.match = match if isinstance(match, Match) else Match(match)
        game = self.match.game
        self.player = player
        self.adv_fraction = adv_fraction
        self.num_envs = game.num_envs
        self.metadata = game.metadata
        self.spec = game.spec
        self.render_mode = game.render_mode
        sides = list(self.match.spaces)
        sides[ADVERSARY] = _shrink(sides[ADVERSARY], adv_fraction)
        self.single_observation_space = game.single_observation_space
        self.single_action_space = sides[player]
        self.opponent_space = sides[1 - player]
        self.observation_space = game.observation_space
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.output = "torch" if self.match.torch else "numpy"
        self.device = self.match.device
        box = sides[ADVERSARY]
        self._theirs = action_spec(self.opponent_space)
        self._bounds: tuple[Tensor, ...] | None = None
        if isinstance(box, spaces.Box):
            box_bounds(box)  # raises where it is unbounded
            self._bounds = tuple(torch.as_tensor(bound, device=self.device) for bound in (box.low, box.high))
        self.opponent: Opponent = Zero(self.opponent_space) if opponent is None else opponent

    def other_side(self, opponent: Opponent) -> Versus:
        """The other player's environment in the same match."""
        return Versus(self.match, 1 - self.player, opponent, adv_fraction=self.adv_fraction)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start new episodes of the game."""
        obs, info = self.match.game.reset(seed=seed, options=options)
        mask = (options or {}).get("reset_mask")
        started = self.match.started | torch.as_tensor(mask, device=self.device) if mask is not None else None
        self.match.see(obs, torch.ones_like(self.match.started) if started is None else started)
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step with this player's actions [B, ...]; the reward [B] is this player's."""
        match = self.match
        theirs = self._shaped(self.opponent(match.obs, match.started))
        pair: list[Any] = [actions, theirs] if self.player == AGENT else [theirs, actions]
        pair[ADVERSARY] = self._within(pair[ADVERSARY])
        if not match.torch:
            pair = [part.cpu().numpy() if isinstance(part, Tensor) else part for part in pair]
        obs, reward, terminated, truncated, info = match.game.step(tuple(pair))
        match.see(obs, terminated | truncated)
        return obs, reward if self.player == AGENT else -reward, terminated, truncated, info

    def _shaped(self, action: Any) -> Tensor:
        """The opponent's action [B, D] or [B, *shape] in the shape and dtype of its space; on a CPU it is looked at."""
        rows = torch.as_tensor(action, device=self.device).reshape(self.num_envs, *self._theirs.shape)
        self.match.steps += 1
        if not self._theirs.discrete and self.device.type == "cpu":
            player = "adversary" if self.player == AGENT else "agent"
            guard.check_numbers(f"the {player}'s action", rows, self.match.steps, guard.FINITE)
        return rows.to(self._theirs.torch_dtype)

    def _within(self, action: Any) -> Any:
        """The adversary's action within its box and its limit."""
        if self._bounds is None:
            return action
        rows = torch.as_tensor(action, device=self.device)
        low, high = (bound.to(rows.dtype) for bound in self._bounds)
        rows = rows.clamp(low, high)
        limit = self.match.limit
        if limit is None:
            return rows
        limit = limit.reshape(-1, *(1,) * (rows.dim() - 1)).to(rows.dtype)
        return rows.clamp(-limit, limit)

    @property
    def state_dict(self) -> Callable[[], dict[str, np.ndarray]] | None:
        """Function that returns the state that the next steps depend on; None where the game cannot give it."""
        return self._state if hasattr(self.match.game, "state_dict") else None

    @property
    def load_state_dict(self) -> Callable[[Mapping[str, np.ndarray]], None] | None:
        """Function that restores what `state_dict` gave; None where the game cannot."""
        return self._load if hasattr(self.match.game, "load_state_dict") else None

    def _state(self) -> dict[str, np.ndarray]:
        own = {"obs": self.match.obs, "started": self.match.started}
        theirs = self.opponent.state_dict() if hasattr(self.opponent, "state_dict") else {}
        parts = {f"match/{k}": v for k, v in own.items()} | {f"opponent/{k}": v for k, v in theirs.items()}
        game: Any = self.match.game
        return {f"game/{k}": v for k, v in game.state_dict().items()} | {
            name: value.cpu().numpy().copy() for name, value in parts.items()
        }

    def _load(self, state: Mapping[str, np.ndarray]) -> None:
        parts: dict[str, dict[str, np.ndarray]] = {"game": {}, "match": {}, "opponent": {}}
        for name, value in state.items():
            owner, _, key = name.partition("/")
            parts.setdefault(owner, {})[key] = value
        game: Any = self.match.game
        game.load_state_dict(parts["game"])
        if not {"obs", "started"} <= set(parts["match"]):
            raise ValueError("the saved state of the match lacks 'obs' or 'started'; use another checkpoint")
        self.match.see(np.array(parts["match"]["obs"]), np.array(parts["match"]["started"]))
        if parts["opponent"] and hasattr(self.opponent, "load_state_dict"):
            self.opponent.load_state_dict({k: torch.as_tensor(v) for k, v in parts["opponent"].items()})

    def render(self) -> Any:
        """Rendered frames of the game."""
        return self.match.game.render()

    def close_extras(self, **kwargs: Any) -> None:
        """Close the game."""
        self.match.game.close(**kwargs)


def make_one_player(env: str, num_envs: int, env_kwargs: Mapping[str, Any] | None = None) -> VectorEnv[Any, Any, Any]:
    """An environment by its id, on one thread; of a game the agent's side, before an adversary at rest.

    Raises:
        ValueError: an unknown id.
    """
    from rlsuite_envs.make import make_vector_env

    venv = make_vector_env(env, num_envs, num_threads=1, env_kwargs=dict(env_kwargs or {}))
    return Versus(venv, AGENT) if isinstance(venv.single_action_space, spaces.Tuple) else venv


def _shrink(space: Space[Any], fraction: float) -> Space[Any]:
    """The adversary's box around 0, scaled; other spaces only whole.

    Raises:
        ValueError: a fraction of a space that is no Box.
    """
    if fraction == 1.0:
        return space
    if not isinstance(space, spaces.Box):
        raise ValueError(f"adv_fraction={fraction} needs a Box for the adversary, not {space}; use 1")
    return spaces.Box(space.low * fraction, space.high * fraction, space.shape, space.dtype.type)
