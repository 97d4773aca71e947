"""Public faces: what a package names is there, what a docstring or page mentions exists, importing stays light."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FACES = (
    "rlsuite",
    "rlsuite_envs",
    "rlsuite.adversarial",
    "rlsuite.adversarial.attacks",
    "rlsuite.adversarial.cheap_talk",
    "rlsuite.adversarial.games",
    "rlsuite.adversarial.observation",
    "rlsuite.core",
    "rlsuite.inventory",
    "rlsuite.gflownet",
    "rlsuite.multi_objective",
    "rlsuite.off_policy",
    "rlsuite.policy_gradient",
    "rlsuite.smoothing",
)
SOURCES = [path for folder in ("rlsuite", "envs", "zoo", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "zoo").rglob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*")]
NAME = re.compile(r"(?<![\w./-])(rlsuite(?:_envs|_zoo)?(?:\.(?!json\b)[A-Za-z_]\w*)+)")
FILE = re.compile(r"(?<![\w./-])((?:tests|rlsuite|envs|zoo|examples)/[\w./-]+\.(?:py|md|json|csv|png|yaml))")
UNKNOWN = re.compile(r"\bDESIGN §|\bthe sheet\b|\bshared/|\bbpo\.md §|\bshared reference")
"""What no reader of the project can look up."""


def test_the_faces_are_listed_here() -> None:
    lazy = [path.parent for path in (ROOT / "rlsuite").rglob("__init__.py") if "__getattr__" in path.read_text()]
    assert {".".join(path.relative_to(ROOT).parts) for path in lazy} == {f for f in FACES if f != "rlsuite_envs"}


@pytest.mark.parametrize("package", FACES)
def test_a_face_offers_what_it_names(package: str) -> None:
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module._MODULES) <= set(module.__all__), set(module._MODULES) - set(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name not in module._MODULES or getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing_such'"):
        module.nothing_such  # noqa: B018


@pytest.mark.parametrize("package", FACES)
def test_type_checkers_see_the_same_names(package: str) -> None:
    tree = ast.parse(Path(str(importlib.import_module(package).__file__)).read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    seen = {a.name: f.module for f in block.body if isinstance(f, ast.ImportFrom) for a in f.names}
    modules = importlib.import_module(package)._MODULES
    assert {name: module for name, module in seen.items() if name in modules} == modules


def test_importing_the_faces_imports_no_torch() -> None:
    code = (
        f"import sys\nfor name in {FACES!r}: __import__(name)\nprint('torch' in sys.modules, 'mujoco' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def _docstrings(path: Path) -> list[str]:
    """Docstrings of modules, classes, functions and fields."""
    strings = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            strings.append(node.value.value)
    return strings


def _resolves(name: str) -> bool:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if part in getattr(found, "__dataclass_fields__", {}) or part in getattr(found, "__annotations__", {}):
                return True
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def _there(page: Path, file: str) -> bool:
    return (ROOT / file).exists() or (page.parent / file).exists()


@pytest.mark.parametrize("package", ["rlsuite", "envs", "zoo", "tests", "pages"])
def test_whatever_is_mentioned_exists(package: str) -> None:
    missing = []
    files = PAGES if package == "pages" else [p for p in SOURCES if p.relative_to(ROOT).parts[0] == package]
    for path in files:
        if not path.is_file() or path.suffix in (".csv", ".png"):
            continue
        texts = [path.read_text()] if path.suffix != ".py" else _docstrings(path)
        for text in texts:
            missing += [f"{path.name}: {name}" for name in NAME.findall(text) if not _resolves(name)]
            missing += [f"{path.name}: {file}" for file in FILE.findall(text) if not _there(path, file)]
            missing += [f"{path.name}: {found}" for found in UNKNOWN.findall(text)]
    assert not missing, "\n".join(missing)
