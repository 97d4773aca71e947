"""An environment of your own: any Gymnasium class, trained by id or as an object; masks say which actions are allowed.

Run: python examples/own_environment.py
"""

from typing import Any

import gymnasium as gym
import numpy as np

import rlsuite


class Corridor(gym.Env[np.ndarray, int]):
    """Walk to the right end of a corridor of ten cells; the wall on the left cannot be walked into."""

    observation_space = gym.spaces.Box(0, 1, (10,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell = int(self.np_random.integers(5))
        return self._look()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.cell += 1 if action == 1 else -1
        obs, info = self._look()
        return obs, -0.1, self.cell == 9, False, info

    def _look(self) -> tuple[np.ndarray, dict[str, Any]]:
        obs = np.zeros(10, np.float32)
        obs[self.cell] = 1
        return obs, {"action_mask": np.array([self.cell > 0, True])}


gym.register("Corridor-v0", entry_point=Corridor, max_episode_steps=50)
model = rlsuite.PPO("Corridor-v0", num_envs=8, n_steps=64, batch_size=128, learning_rate=1e-2, seed=0, device="cpu")
before = rlsuite.evaluate(model, "Corridor-v0", episodes=20).interval
model.learn(8_000)
print("untrained:", before)
print("trained:  ", rlsuite.evaluate(model, "Corridor-v0", episodes=20).interval, "(at best -0.5 to -0.9)")
