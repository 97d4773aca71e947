"""How much return do attacks on its observations take from a policy? Noise beside a gradient attack of the same size.

Run: python examples/attack.py
"""

import rlsuite
from rlsuite.adversarial.attacks import AttackedPolicy, Budget, GradientAttack, RandomAttack

ENV = "rlsuite/CartPole-v1"
model = rlsuite.PPO(ENV, num_envs=16, n_steps=64, batch_size=256, learning_rate="linear:3e-3", seed=0, device="cpu")
model.learn(30_000)
victim = rlsuite.as_victim(model)  # a Stable-Baselines3 model works, too

print("no attack:      ", rlsuite.evaluate(model, ENV, episodes=10).interval)
for eps in (0.05, 0.1, 0.2):
    for name, attack in (("noise", RandomAttack()), ("gradient", GradientAttack())):
        policy = AttackedPolicy(victim, attack, Budget(eps))
        print(f"{name:<9}eps {eps:<4}:", rlsuite.evaluate(policy, ENV, episodes=10).interval)
