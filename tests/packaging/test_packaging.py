"""The package as it is installed: names, data files, and a user's own folders beside it."""

import os
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from importlib.resources import files
from pathlib import Path

import pytest

PACKAGES = {"rlsuite", "rlsuite_envs", "rlsuite_zoo"}


def python(code: str, cwd: Path) -> str:
    """What a fresh interpreter in `cwd` prints."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_wheel_installs_three_names_and_nothing_else() -> None:
    installed = {name for name, owners in packages_distributions().items() if "rlsuite" in owners}
    if not os.environ.get("RLSUITE_WHEEL"):
        pytest.skip("an editable install has no list of names; `make wheel-test` runs this on the wheel")
    assert installed == PACKAGES
    where = {Path(str(distribution("rlsuite").locate_file(name))) for name in PACKAGES}
    assert all("site-packages" in path.parts and path.is_dir() for path in where)


@pytest.mark.parametrize(
    "file",
    [
        "rlsuite/py.typed",
        "rlsuite_envs/py.typed",
        "rlsuite_zoo/py.typed",
        "rlsuite_zoo/recipes/ppo/default.yaml",
        "rlsuite_zoo/recipes/bpo/default.yaml",
        "rlsuite_zoo/recipes/sb3-sac/default.yaml",
        "rlsuite_zoo/suites/bpo.yaml",
    ],
)
def test_data_files_are_packaged(file: str) -> None:
    package, _, rest = file.partition("/")
    assert (files(package) / rest).is_file()


@pytest.mark.parametrize("kind", ["package", "plain folder"])
def test_a_users_own_envs_and_zoo_folders_do_no_harm(kind: str, tmp_path: Path) -> None:
    for name in ("envs", "zoo", "tests"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine.py").write_text(f"value = 'my {name}'\n")
        if kind == "package":
            (folder / "__init__.py").write_text("raise_if_imported_twice = object()\n")
    code = (
        "import rlsuite, rlsuite_envs, rlsuite_zoo\n"
        "import envs.mine, zoo.mine\n"
        "import gymnasium\n"
        "assert gymnasium.spec('rlsuite/CartPole-v1')\n"
        "print(envs.mine.value, zoo.mine.value)"
    )
    assert python(code, tmp_path) == "my envs my zoo"
    listed = python("import sys; from rlsuite_zoo.cli import main; sys.exit(main(['list', 'envs']))", tmp_path)
    assert "rlsuite/CartPole-v1" in listed


def test_importing_the_environments_imports_neither_torch_nor_mujoco(tmp_path: Path) -> None:
    code = "import sys, rlsuite_envs; print([m for m in ('torch', 'mujoco', 'rlsuite') if m in sys.modules])"
    assert python(code, tmp_path) == "[]"


def test_python_m_is_the_console_script(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("rlsuite")
    for command in ([sys.executable, "-m", "rlsuite_zoo"], [str(script)]):
        done = subprocess.run([*command, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.stdout.startswith("rlsuite 0."), done.stderr
