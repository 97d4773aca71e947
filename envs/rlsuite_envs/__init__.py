"""Gymnasium environments of rlsuite.

Importing registers them: `gym.make("rlsuite/CartPole-v1")`, `gym.make_vec("rlsuite/CartPole-v1",
num_envs=4096, device="cuda")`. It imports neither torch nor MuJoCo; the environment made does.
"""

from rlsuite_envs.registration import list_envs, register_envs

__all__ = ["list_envs", "register_envs"]

register_envs()
