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
from typing import Any

import tyro

from rlsuite_zoo.errors import Interrupted, UsageError, place_of, remedy_of, unknown
from rlsuite_zoo.imports import importing, split_imports
from rlsuite_zoo.options import (
    AttackOptions,
    CertifyOptions,
    EvaluateOptions,
    FrontOptions,
    InventoryOptions,
    ListOptions,
    PageOptions,
    PlotOptions,
    ShowOptions,
    SweepOptions,
    TrainOptions,
    VictimsOptions,
)
from rlsuite_zoo.provenance import running

SETTING = re.compile(r"[A-Za-z_][\w.]*=")


@dataclass(frozen=True)
class Command:
    """A command whose words are a dataclass."""

    options: type[Any]
    """Frozen dataclass; its docstring is the command's, those of its fields are the options'."""
    run: str
    """ "module:function", imported when it is called with the options."""


COMMANDS: dict[str, Command] = {
    "list": Command(ListOptions, "rlsuite_zoo.commands.listing:list_all"),
    "train": Command(TrainOptions, "rlsuite_zoo.commands.train:train"),
    "evaluate": Command(EvaluateOptions, "rlsuite_zoo.commands.train:evaluate"),
    "front": Command(FrontOptions, "rlsuite_zoo.multi_objective.front:make_front"),
    "plot": Command(PlotOptions, "rlsuite_zoo.commands.pictures:plot"),
    "results": Command(PageOptions, "rlsuite_zoo.commands.results:results"),
    "show": Command(ShowOptions, "rlsuite_zoo.commands.pictures:show"),
    "benchmark inventory": Command(InventoryOptions, "rlsuite_zoo.inventory.benchmark:make_benchmark"),
    "benchmark robustness": Command(VictimsOptions, "rlsuite_zoo.robustness.benchmark:make_benchmark"),
    "attack": Command(AttackOptions, "rlsuite_zoo.robustness.attack:make_attack"),
    "certify": Command(CertifyOptions, "rlsuite_zoo.robustness.certify:make_certificates"),
    "robustness": Command(SweepOptions, "rlsuite_zoo.robustness.sweep:make_robustness"),
}
BENCHES = ("rollout", "train", "envs", "fronts", "gpu", "smoothing", "act")


def usage() -> str:
    """All commands, one line each."""
    lines = ["usage: rlsuite COMMAND [...]   (rlsuite COMMAND --help tells more)", ""]
    for name, command in COMMANDS.items():
        lines.append(f"  {name:<22}{(inspect.getdoc(command.options) or '').splitlines()[0]}")
    lines.append(f"  {'':<22}(--import MODULE, with every command: import it first; for runs of your own environments)")
    lines.append(f"  {'bench':<22}Measure speed beside other libraries: {', '.join(BENCHES)}.")
    return "\n".join(lines)


def parse_and_call(command: Callable[..., None] | Command, words: list[str], prog: str) -> None:
    """Carry out a command with the words of the command line; settings may be anywhere among options.

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
