"""The mean return that no attack on the observations can take away: train under noise, act under noise, certify.

Run: python examples/certify.py
"""

import rlsuite
from rlsuite.smoothing import NoisyVectorObservation, certify_policy
from rlsuite_envs import make_vector_env

ENV, SIGMA = "rlsuite/CartPole-v1", 0.2
noisy = NoisyVectorObservation(make_vector_env(ENV, 16), sigma=SIGMA)
model = rlsuite.PPO(noisy, n_steps=128, batch_size=512, learning_rate="linear:1e-3", gamma=0.98, seed=0, device="cpu")
model.learn(40_000)

budgets = [0.1, 0.2, 0.4]  # total L2 norm of an episode's changes, observation units
found = certify_policy(model, ENV, budgets, sigma=SIGMA, episodes=2_000, method="ladder", ladder=500)
print(f"clean return {found.clean:.1f} ({found.episodes:,} episodes)")
for budget, value in zip(found.budget, found.value, strict=True):
    print(f"whatever an attacker of budget {budget:.1f} does, the mean return is at least {value:.1f}")
