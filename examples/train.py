"""Train PPO, look at its return with an interval, save it, and go on from the file exactly where it stopped.

Run: python examples/train.py
"""

import tempfile
from pathlib import Path

import rlsuite

ENV = "rlsuite/CartPole-v1"  # a tensor environment; any Gymnasium id works

model = rlsuite.PPO(ENV, num_envs=16, n_steps=64, batch_size=256, learning_rate="linear:3e-3", seed=0, device="cpu")
model.learn(30_000)
print("trained:", rlsuite.evaluate(model, ENV, episodes=20).interval)

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "cartpole.zip"
    model.save(file)
    again = rlsuite.load(file, env=ENV, device="cpu")
again.learn(10_000, reset_num_timesteps=False)
print(f"went on to {again.num_timesteps:,} steps:", rlsuite.evaluate(again, ENV, episodes=20).interval)
