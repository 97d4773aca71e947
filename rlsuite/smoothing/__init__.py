"""Policy smoothing: noisy observations, and what return they certify under attack (arXiv 2106.11420).

| step | module |
|---|---|
| train under noise | `noise`: wrappers for single and vector environments, noise before frame stacks |
| act behind noise | `smoothed`: any policy with `predict`, one draw per step and frame |
| play thousands of episodes at once | `episodes` |
| certify returns | `planning` (how many episodes), `survival`, `certificates`, `certify` (all in one call) |
| attack, to see how tight it is | `attack`, with the insides of models from `victims` |

    venv = NoisyVectorObservation(make_vector_env("rlsuite/CartPole-v1", 16), sigma=0.2)
    model = PPO(venv, n_steps=128).learn(300_000)
    print(certify_policy(model, "rlsuite/CartPole-v1", [0.1, 0.2, 0.4], sigma=0.2, method="ladder", ladder=500))

    attack = ScoreAttack(scores_of(model), ScoreAttackConfig(budget=0.4, sigma=0.2))
    smoothed_returns(model, "rlsuite/CartPole-v1", sigma=0.2, episodes=1_000, attack=attack).returns.mean()
"""
