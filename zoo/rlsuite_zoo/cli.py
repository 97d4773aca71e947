"""The console script `rlsuite` (also `python -m rlsuite_zoo`): typed functions, one per command.

A mistake of the user is one line on stderr and exit code 2; a failure is one line and exit code 1; Ctrl-C is
130. `--debug` (or RLSUITE_DEBUG=1) shows the traceback instead.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import io
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import tyro
from tyro.conf import Positional

from rlsuite_zoo.errors import Interrupted, UsageError, place_of, remedy_of, unknown
from rlsuite_zoo.imports import importing, split_imports
from rlsuite_zoo.options import (
    AttackOptions,
    CertifyOptions,
    InventoryOptions,
    PageOptions,
    SweepOptions,
    VictimsOptions,
)
from rlsuite_zoo.provenance import running

SETTING = re.compile(r"[A-Za-z_][\w.]*=")


def list_(what: Positional[str] = "all") -> None:
    """List algorithms, environments and recipes.

    Args:
        what: all, algorithms, envs or recipes.
    """
    from rlsuite_zoo.commands.listing import show

    show(what)


def train(
    algo: Positional[str] = "",
    env: Positional[str] = "",
    settings: Positional[tuple[str, ...]] = (),
    *,
    steps: str = "",
    seeds: str = "0",
    num_envs: str = "",
    device: str = "auto",
    recipe: str = "",
    jobs: int | None = None,
    out: str = "runs",
    name: str = "",
    checkpoint_every: str = "",
    eval_every: str = "",
    eval_episodes: int = 20,
    eval_stochastic: bool = False,
    resume: str = "",
) -> None:
    """Train one or several seeds, each in a run folder of its own; `train ALGO ENV --help` lists hyper-parameters.

    Args:
        algo: algorithm, such as bpo, ppo, sac or sb3:ppo (`rlsuite list algorithms`).
        env: Gymnasium id, such as Hopper-v5 or rlsuite/CartPole-v1 (`rlsuite list envs`).
        settings: hyper-parameters as key=value or config.key=value; env.key=value for the environment.
        steps: environment steps, such as 1e6 (default: the recipe's).
        seeds: such as 0, 0-4 or 0,3,7.
        num_envs: copies of the environment (default: the recipe's).
        device: auto, cpu or cuda.
        recipe: named variant of the recipe (`rlsuite list recipes`), or a file of your own (.yaml).
        jobs: runs at a time (default: one per core).
        out: folder of all runs.
        name: folder of this training below OUT/ALGO/ENV (default: the time).
        checkpoint_every: steps between checkpoints (default: a twentieth of the steps).
        eval_every: steps between evaluations during training (default: none).
        eval_episodes: episodes of an evaluation; 0 for none at the end.
        eval_stochastic: evaluations sample the actions (some recipes say so themselves).
        resume: run folder (or a folder of several) to go on with; takes --steps and --jobs, nothing else.
    """
    from rlsuite_zoo.commands import train as commands

    if resume:
        if algo or env or settings:
            raise UsageError("--resume goes on with the run as it is; leave algorithm, environment and settings out")
        commands.resume(resume, steps=steps, jobs=jobs)
        return
    if not algo or not env:
        raise UsageError("give an algorithm and an environment: rlsuite train bpo Hopper-v5 (or --resume RUN)")
    commands.train(
        algo,
        env,
        settings,
        steps=steps,
        seeds=seeds,
        num_envs=num_envs,
        device=device,
        recipe=recipe,
        jobs=jobs,
        out=out,
        name=name,
        checkpoint_every=checkpoint_every,
        eval_every=eval_every,
        eval_episodes=eval_episodes,
        eval_stochastic=eval_stochastic,
    )


def evaluate(
    run: Positional[str],
    *,
    episodes: int = 20,
    render: str = "",
    stochastic: bool = False,
    seed: int | None = None,
    checkpoint: str = "last",
) -> None:
    """Evaluate trained runs: mean return with its 95 % interval; writes evaluation.json.

    Args:
        run: run folder, or a folder of several.
        episodes: how many.
        render: also write a video of one episode to this .mp4 file.
        stochastic: sample the actions instead of taking the distribution's mode (default: as the run says).
        seed: of the episodes (default: derived from the run's).
        checkpoint: last or best.
    """
    from rlsuite_zoo.commands import train as commands

    commands.evaluate(run, episodes=episodes, render=render, stochastic=stochastic, seed=seed, checkpoint=checkpoint)


def plot(
    runs: Positional[tuple[str, ...]],
    *,
    out: str = "learning_curves.png",
    metric: str = "rollout/ep_rew_mean",
    smooth: float = 0.02,
    title: str = "",
) -> None:
    """Draw learning curves: mean and 95 % interval over seeds, one panel per environment.

    Args:
        runs: run folders, or folders of several.
        out: picture to write (.png, .pdf or .svg).
        metric: column of progress.csv.
        smooth: width of the moving average, as a share of the curve; 0 for none.
        title: above the picture.
    """
    from rlsuite_zoo.report.curves import plot_runs

    if not runs:
        raise UsageError("give at least one run folder: rlsuite plot runs/bpo/Hopper-v5/NAME")
    plot_runs(list(runs), Path(out), metric=metric, smooth=smooth, title=title)


def show(
    env: Positional[str] = "",
    settings: Positional[tuple[str, ...]] = (),
    *,
    policy: str = "random",
    out: str = "",
    seed: int = 0,
    steps: int = 0,
    stochastic: bool = False,
    checkpoint: str = "last",
    text: bool = False,
) -> None:
    """Draw one episode of an environment: a picture of the whole (.png) or a film (.mp4); or print its text.

    Films need the extra `video` (pip install "rlsuite[video]"). Gymnasium's RecordVideo wrapper, which films in your
    own code, needs another package: pip install moviepy.

    Args:
        env: Gymnasium id, such as rlsuite/HardMaze-v0 (`rlsuite list envs`; default: the one that --policy was
            trained in, with its constants).
        settings: the environment's constants as key=value.
        policy: random, a run folder, or a checkpoint.
        out: file to write (default: a .png named after the environment).
        seed: of the episode.
        steps: stop after so many steps; 0 for the whole episode.
        stochastic: sample the trained policy's actions instead of taking the distribution's mode (default: as its
            run says).
        checkpoint: of a run folder, last or best.
        text: draw nothing; print what the environment is: observations, actions, reward, constants.
    """
    from rlsuite_zoo.episodes import show as showing

    if text:
        if not env:
            raise UsageError("--text prints an environment's text; give the environment")
        print(showing.describe(env))
        return
    if SETTING.match(env):  # no environment given: the first setting stands in its place
        env, settings = "", (env, *settings)
    showing.show(
        env,
        settings,
        policy=policy,
        out=out,
        seed=seed,
        steps=steps,
        stochastic=stochastic,
        checkpoint=checkpoint,
    )


@dataclass(frozen=True)
class Command:
    """A command whose words are a dataclass."""

    options: type[Any]
    """Frozen dataclass; its docstring is the command's, those of its fields are the options'."""
    run: str
    """ "module:function", imported when it is called with the options."""


COMMANDS: dict[str, Callable[..., None] | Command] = {
    "list": list_,
    "train": train,
    "evaluate": evaluate,
    "plot": plot,
    "results": Command(PageOptions, "rlsuite_zoo.commands.results:results"),
    "show": show,
    "benchmark inventory": Command(InventoryOptions, "rlsuite_zoo.inventory.benchmark:make_benchmark"),
    "benchmark robustness": Command(VictimsOptions, "rlsuite_zoo.robustness.benchmark:make_benchmark"),
    "attack": Command(AttackOptions, "rlsuite_zoo.robustness.attack:make_attack"),
    "certify": Command(CertifyOptions, "rlsuite_zoo.robustness.certify:make_certificates"),
    "robustness": Command(SweepOptions, "rlsuite_zoo.robustness.sweep:make_robustness"),
}
BENCHES = ("rollout", "train", "envs", "gpu", "smoothing", "act")


def usage() -> str:
    """All commands, one line each."""
    lines = ["usage: rlsuite COMMAND [...]   (rlsuite COMMAND --help tells more)", ""]
    for name, command in COMMANDS.items():
        words = command.options if isinstance(command, Command) else command
        lines.append(f"  {name:<22}{(inspect.getdoc(words) or '').splitlines()[0]}")
    lines.append(f"  {'':<22}(--import MODULE, with every command: import it first; for runs of your own environments)")
    lines.append(f"  {'bench':<22}Measure speed beside other libraries: {', '.join(BENCHES)}.")
    return "\n".join(lines)


def parse_and_call(command: Callable[..., None] | Command, words: list[str], prog: str) -> None:
    """Carry out a command with the words of the command line; settings may stand anywhere among options.

    Raises:
        UsageError: an option that the command has not; names the nearest.
    """
    function = command.options if isinstance(command, Command) else command
    options = {name.replace("_", "-") for name in inspect.signature(function).parameters}
    for word in words:
        option = word.removeprefix("--").partition("=")[0].replace("_", "-")
        if word.startswith("--") and option not in {*options, "help"} and option.removeprefix("no-") not in options:
            close = difflib.get_close_matches(option, options, n=1)
            hint = f"did you mean --{close[0]}?" if close else f"`{prog} --help` lists them"
            raise UsageError(f"{prog} has no option --{option}: {hint}")
    # Words such as learning_rate=1e-4 go to the end: the parser wants them in one piece.
    loose = [w for i, w in enumerate(words) if SETTING.match(w) and not (i and words[i - 1].startswith("--"))]
    rest = [w for i, w in enumerate(words) if not (SETTING.match(w) and not (i and words[i - 1].startswith("--")))]
    if loose:
        first_option = next((i for i, w in enumerate(rest) if w.startswith("-")), len(rest))
        rest = rest[:first_option] + loose + rest[first_option:]
    found: Any = tyro.cli(function, args=rest, prog=prog, config=(tyro.conf.FlagCreatePairsOff,))
    if isinstance(command, Command):
        module, _, name = command.run.partition(":")
        getattr(importlib.import_module(module), name)(found)


def bench(words: list[str]) -> None:
    """Call `main` of a benchmark module, which is imported only now.

    Raises:
        UsageError: no such benchmark.
    """
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: rlsuite bench {{{','.join(BENCHES)}}} [--help] [options]")
        return
    if words[0] not in BENCHES:
        raise unknown("benchmark", words[0], BENCHES)
    module: Any = importlib.import_module(f"rlsuite_zoo.bench.{words[0]}")
    parse_and_call(module.main, words[1:], f"rlsuite bench {words[0]}")


def dispatch(words: list[str]) -> None:
    """Carry out a command line.

    Raises:
        UsageError: it makes no sense.
    """
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"rlsuite {version('rlsuite')}")
        return
    if words[0] == "bench":
        bench(words[1:])
        return
    count = 2 if words[0] == "benchmark" else 1
    name = " ".join(words[:count])
    if name not in COMMANDS:
        raise unknown("command", name, [*COMMANDS, "bench"])
    try:
        parse_and_call(COMMANDS[name], words[count:], f"rlsuite {name}")
    except SystemExit:
        if name == "train" and {"-h", "--help"} & set(words):
            train_help(words[1:])
        raise


def train_help(words: list[str]) -> None:
    """After the options of `train ALGO [ENV] --help`, the hyper-parameters of the algorithm; nothing without one.

    Raises:
        UsageError: an unknown algorithm or recipe.
    """
    from rlsuite_zoo.commands.listing import hyper_parameters
    from rlsuite_zoo.runs.display import out_console

    named = list(takewhile(lambda word: not word.startswith("-") and not SETTING.match(word), words))[:2]
    if named:
        chosen = words[words.index("--recipe") + 1 :][:1] if "--recipe" in words else []
        out_console().print(hyper_parameters(named[0], *(named[1:] or [""]), *chosen))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    debug = "--debug" in words or os.environ.get("RLSUITE_DEBUG", "") not in ("", "0")
    words = [word for word in words if word != "--debug"]
    try:
        rest, modules = split_imports(words)
        with running(words), importing(modules), as_found():
            if not debug:
                warnings.filterwarnings("ignore", category=DeprecationWarning)  # other packages' own affairs
            dispatch(rest)
    except SystemExit as stop:  # --help, or the parser's own complaint
        return stop.code if isinstance(stop.code, int) else 1
    except (Interrupted, KeyboardInterrupt):
        print("rlsuite: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `rlsuite list | head`: no complaint at exit
        return 0
    except UsageError as error:
        if debug:
            raise
        print(f"rlsuite: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if debug:
            raise
        print(f"rlsuite: {describe(error)}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def as_found() -> Iterator[None]:
    """Leave what the whole process shares as it was: a notebook goes on after a command."""
    torch = sys.modules.get("torch")  # not imported for its own sake: `rlsuite list` is quick
    threads = torch.get_num_threads() if torch else int(os.environ.get("OMP_NUM_THREADS") or 0)
    environment = dict(os.environ)
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    strict = [stream for stream in streams if stream.errors == "strict"]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for stream in strict:
            stream.reconfigure(errors="backslashreplace")  # a name that the output cannot spell spoils no result
        with warnings.catch_warnings():
            yield
    finally:
        for stream in strict:
            if not stream.closed:
                stream.reconfigure(errors="strict")
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(threads or os.cpu_count() or 1)
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        for name, value in environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if signal.getsignal(number) is not handler and handler is not None:
                    signal.signal(number, handler)


def describe(error: Exception) -> str:
    """One line for an error that is not the command line's."""
    text, place = str(error) or "no message", place_of(error)
    if isinstance(error, OSError) and not place:
        return text + remedy_of(error)
    plain = isinstance(error, ValueError | OSError | FloatingPointError) or type(error).__module__.startswith("rlsuite")
    if plain and not place:
        return text
    return f"{type(error).__name__}: {text}{place} (--debug shows the whole traceback)"


if __name__ == "__main__":
    sys.exit(main())
