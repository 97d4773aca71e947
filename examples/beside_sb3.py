"""Beside Stable-Baselines3: its callbacks on our agents, our environments for its agents, its models under our attacks.

Run: python examples/beside_sb3.py
"""

import stable_baselines3 as sb3
from stable_baselines3.common.callbacks import EvalCallback

import rlsuite
from rlsuite.adversarial.attacks import AttackedPolicy, Budget, GradientAttack
from rlsuite.core import as_vec_env
from rlsuite_envs import make_vector_env

ENV = "rlsuite/CartPole-v1"

watch = EvalCallback(as_vec_env(make_vector_env(ENV, 4)), eval_freq=500, n_eval_episodes=8, verbose=0)
ours = rlsuite.PPO(ENV, num_envs=8, n_steps=64, batch_size=128, learning_rate=1e-3, seed=0, device="cpu")
ours.learn(8_000, callback=watch)
print("ours, as EvalCallback saw it last:", watch.last_mean_reward)

theirs = sb3.PPO("MlpPolicy", as_vec_env(make_vector_env(ENV, 8)), n_steps=64, batch_size=128, seed=0, device="cpu")
theirs.learn(8_000)
print("theirs, on our tensors:           ", rlsuite.evaluate(theirs, ENV, episodes=20).interval)

attacked = AttackedPolicy(rlsuite.as_victim(theirs), GradientAttack(), Budget(0.1))
print("theirs, under a gradient attack:  ", rlsuite.evaluate(attacked, ENV, episodes=20).interval)
