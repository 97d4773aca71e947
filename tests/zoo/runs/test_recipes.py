"""Recipes: each one builds a configuration, and the reading of numbers, seeds and YAML."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlsuite
from rlsuite import ALGORITHMS
from rlsuite_zoo.commands.listing import hyper_parameters
from rlsuite_zoo.errors import UsageError
from rlsuite_zoo.runs import recipe
from rlsuite_zoo.runs.baselines import BASELINES
from rlsuite_zoo.runs.folder import find_runs
from rlsuite_zoo.runs.models import resolve_config

ALL = [
    (algorithm, env, found)
    for algorithm in recipe.algorithms()
    for env, variants in recipe.recipe_files(algorithm).items()
    for found in variants.values()
]


@pytest.mark.parametrize("algorithm, env, found", ALL, ids=[f"{a}-{e}-{r.name}" for a, e, r in ALL])
def test_every_recipe_is_complete_and_builds_its_configuration(algorithm: str, env: str, found: Any) -> None:
    config = resolve_config(algorithm, found.config)
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in config.items() if k in found.config} == found.config
    assert found.description and found.source and found.steps >= 1 and found.num_envs >= 1
    if env != "default":
        assert {env, f"rlsuite/{env}"} & set(gym.registry), env
    if not algorithm.startswith("sb3:") and config.get("batch_size") and config.get("n_steps"):
        assert config["n_steps"] * found.num_envs % config["batch_size"] == 0  # no small last minibatch


def test_every_algorithm_has_a_default_recipe() -> None:
    assert set(recipe.algorithms()) == {*rlsuite.ALGORITHMS, *BASELINES}
    for algorithm in recipe.algorithms():
        assert recipe.find_recipe(algorithm, "Some-v0").name == "default"


def test_files_complete_each_other_and_engines_share_them() -> None:
    ours = recipe.find_recipe("bpo", "Hopper-v5", "paper")
    assert ours.config["temperature"] == 10.0 and ours.num_envs == 4
    assert recipe.find_recipe("bpo", "rlsuite/Hopper-v5", "paper") == ours
    assert recipe.find_recipe("bpo", "Hopper-v5") == recipe.find_recipe("bpo", "Some-v0")
    assert recipe.find_recipe("bpo", "Swimmer-v5").config["gamma"] == 0.9999
    keep = recipe.find_recipe("pdppo", "rlsuite/LotSizing-20x10-v0", "keep")
    assert keep.env == {"zero": "keep"} and keep.eval_stochastic
    with pytest.raises(UsageError, match="did you mean 'paper'"):
        recipe.find_recipe("bpo", "Hopper-v5", "papr")


def test_the_papers_rows_stay_the_papers() -> None:
    rows = {
        "Hopper-v5": (512, 32, 9.808e-5, 0.25),
        "Ant-v5": (2048, 256, 1e-4, 0.3),
        "Humanoid-v5": (512, 128, 1e-4, 0.2),
    }
    for env, row in rows.items():
        config = resolve_config("bpo", recipe.find_recipe("bpo", env, "paper").config)
        assert (config["n_steps"], config["batch_size"], config["learning_rate"], config["clip_range"]) == row
        assert config["net_arch"] == (256, 256) and config["activation"] == "relu"
        assert not config["normalize_obs"] and not config["normalize_reward"]


@pytest.mark.parametrize("text, number", [("1e6", 10**6), ("2048", 2048), ("1_000", 1000), ("2.5e3", 2500)])
def test_counts(text: str, number: int) -> None:
    assert recipe.parse_count(text, "steps") == number


@given(st.lists(st.integers(0, 50), min_size=1, unique=True))
def test_seeds_read_back(seeds: list[int]) -> None:
    assert recipe.parse_seeds(",".join(map(str, seeds))) == seeds
    low, high = min(seeds), max(seeds)
    assert recipe.parse_seeds(f"{low}-{high}") == list(range(low, high + 1))


def test_overrides_are_yaml_and_typed() -> None:
    words = [
        "lr=3e-4",
        "config.net=[64, 64]",
        "flag=true",
        "none=null",
        "word=linear:3e-4",
        "n=2e3",
        "env.g=9.81",
    ]
    config, env = recipe.parse_overrides(words)
    assert config == {
        "lr": 3e-4,
        "net": [64, 64],
        "flag": True,
        "none": None,
        "word": "linear:3e-4",
        "n": 2000.0,
    }
    assert env == {"g": 9.81}
    built = resolve_config("ppo", {"n_steps": 2e3, "net_arch": [32], "gamma": 1, "learning_rate": "linear:1e-3"})
    assert built["n_steps"] == 2000 and isinstance(built["n_steps"], int)
    assert built["net_arch"] == (32,) and isinstance(built["gamma"], float)


def test_yaml_builds_no_objects_and_loses_no_key(tmp_path: Path) -> None:
    evidence = tmp_path / "ran"
    with pytest.raises(UsageError, match="here is not plain YAML"):
        recipe.parse_yaml(f"!!python/object/apply:os.mkdir ['{evidence}']", "here")
    assert not evidence.exists()
    with pytest.raises(UsageError, match="key 'a' stands twice"):
        recipe.parse_yaml("{a: 1, a: 2}", "here")
    with pytest.raises(UsageError, match="not plain YAML"):
        recipe.parse_yaml("a: [1", "here")


@pytest.mark.parametrize("text", ["[1]", "default: 3", "default: {stepz: 1}", "default: {steps: -1}"])
def test_bad_recipe_files_are_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"file\.yaml|steps"):
        recipe._variants(recipe.parse_yaml(text, "file.yaml"), "file.yaml")


def test_a_recipe_may_be_a_file_of_ones_own(rlsuite: Any) -> None:
    text = "num_envs: 2\nsteps: 64\nconfig: {n_steps: 16, batch_size: 32, n_epochs: 1, net_arch: [8]}\n"
    words = ("--eval-episodes", "0", "--name", "a")
    Path("mine.yaml").write_text(text, encoding="utf-8")
    Path("variants.yml").write_text("default: {steps: 32, num_envs: 4}\nother: {steps: 1}\n", encoding="utf-8")
    assert rlsuite("train", "ppo", "CartPole-v1", "gamma=0.5", "--recipe", "mine.yaml", *words).code == 0
    (folder,) = find_runs(["runs"])
    spec = folder.spec()
    assert (spec.recipe, spec.num_envs, spec.steps) == ("mine", 2, 64)
    assert (spec.config["n_steps"], spec.config["gamma"]) == (16, 0.5)
    found = recipe.find_recipe("ppo", "CartPole-v1", "variants.yml")
    assert (found.name, found.steps, found.num_envs) == ("variants", 32, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step: 3", "mine.yaml has no key 'step': did you mean 'steps'?"),
        ("steps: soon", "mine.yaml: steps is 'soon'"),
        ("config: 3", "mine.yaml: config is 3; it must be a mapping"),
        ("env: [1]", "mine.yaml: env is [1]; it must be a mapping"),
        ("config: {n_step: 3}", "mine.yaml: config: PPOConfig has no key 'n_step': did you mean"),
        ("config: {gamma: 2.0}", "mine.yaml: config: PPOConfig.gamma is 2.0"),
        ("- 1", "mine.yaml must be a mapping"),
        ("a: !!python/object:os.system {}", "mine.yaml is not plain YAML"),
        ("a: {steps: 1}\nb: {steps: 2}", "mine.yaml holds a, b; name one of them default"),
    ],
)
def test_an_own_recipes_mistake_names_file_and_key(rlsuite: Any, text: str, message: str) -> None:
    Path("mine.yaml").write_text(text, encoding="utf-8")
    ran = rlsuite("train", "ppo", "CartPole-v1", "--recipe", "mine.yaml")
    assert ran.code == 2 and message in ran.err and not Path("runs").exists()
    assert "there is no such file" in rlsuite("train", "ppo", "CartPole-v1", "--recipe", "no.yml").err


def test_help_shows_an_algorithms_hyper_parameters(rlsuite: Any) -> None:
    ran = rlsuite("train", "ppo", "CartPole-v1", "--help")
    line = next(line for line in ran.out.splitlines() if line.startswith("gae_lambda"))
    assert ran.code == 0 and line.rstrip().split(maxsplit=3) == [
        "gae_lambda",
        "0.95",
        "0.8",
        "Lambda of generalised advantage estimation, in [0, 1].",
    ]
    for algo in ALGORITHMS:
        rows = hyper_parameters(algo, "").columns[3]._cells
        assert all(rows), algo
    assert "did you mean 'ppo'" in rlsuite("train", "ppp", "CartPole-v1", "--help").err
