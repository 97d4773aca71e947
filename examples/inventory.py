"""A supply network: classical rules, tuned by simulation, on the same demands.

Run: python examples/inventory.py
"""

import numpy as np

from rlsuite.inventory import BaseStock, Newsvendor, tune
from rlsuite.inventory.classical.play import draw_noise, play
from rlsuite_envs import make_kernel
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork

network = make_kernel(
    SupplyNetwork, scenario="serial-stationary-backlog", action="orders", observation="raw", reward="money"
)
tuned = tune(BaseStock, network, episodes=20, evaluations=40, seed=1)  # other demands than those played below
demands = draw_noise(network, 30, 0)
for policy in (Newsvendor(network), tuned.policy):
    profit = play(network, policy, demands, 30).info["profit"].numpy(force=True)
    print(
        f"{type(policy).__name__:<11} profit {profit.mean():8.1f} +- {1.96 * profit.std() / np.sqrt(len(profit)):.1f}"
    )
