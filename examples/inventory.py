"""A supply network: classical rules, one of them tuned by simulation, on the same demands.

Run: python examples/inventory.py
"""

import numpy as np

from rlsuite.inventory import BaseStock, Newsvendor, draw_noise, play, tune
from rlsuite_envs import make_vector_env

CONSTANTS = {"action": "orders", "observation": "raw", "reward": "money"}
venv = make_vector_env("rlsuite/SupplyNetwork-serial-stationary-backlog-v0", 1, env_kwargs=CONSTANTS)
network = venv.unwrapped.kernel
tuned = tune(BaseStock, network, episodes=20, evaluations=40, seed=1)  # other demands than those played below
demands = draw_noise(network, 30, 0)
for policy in (Newsvendor(network), tuned.policy):
    profit = play(network, policy, demands, 30).info["profit"].numpy(force=True)
    half = 1.96 * profit.std() / np.sqrt(len(profit))
    print(f"{type(policy).__name__:<11} profit {profit.mean():8.1f} +- {half:.1f}")
