"""The command `tapegrad`: run a PyTorch program, show what is installed, train the demo.

    tapegrad run train.py --lr 0.1        tapegrad info        tapegrad demo

This module imports no more than it needs to read the command line; a command's own module is imported when it runs.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Sequence
from typing import Any

EXTRAS = {
    "fast": ("llvmlite",),
    "vision": ("pillow",),
    "plot": ("matplotlib", "graphviz"),
}

RUN_USAGE = """\
tapegrad run [-h] SCRIPT [ARG ...]
       tapegrad run -m MODULE [ARG ...]
       tapegrad run -c CODE [ARG ...]"""

RUN_TEXT = """\
Run a Python program as `python` would, with `import torch` and `import torchvision`
answered by tapegrad: the program is not changed, and an installed torch is not used.
"""

RUN_FORMS = """\
what to run:
  SCRIPT      a file, a folder or zip file with a __main__.py, or - for standard input
  -m MODULE   a module, found on sys.path
  -c CODE     the text of a program
  ARG         everything after that is the program's own, options too

A traceback ends in the program's last line. With TAPEGRAD_FULL_TRACEBACK=1 in the
environment it shows the frames inside tapegrad as well.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return the exit code.

    `tapegrad run` lets the program's exceptions pass, SystemExit too: the process ends as under Python.
    """
    parser, run_parser = _parsers()
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] == "run":  # by hand: what follows the program belongs to the program
        return _run(run_parser, words[1:])
    args = parser.parse_args(words)
    try:
        return args.command(args)
    except OSError as error:
        print(f"tapegrad: error: {error}", file=sys.stderr)
        return 2


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser of the whole command line, and the one that prints the texts of `tapegrad run`."""
    parser = argparse.ArgumentParser(
        prog="tapegrad",
        description="PyTorch's API as a small, fast, readable Python package.",
        epilog="`tapegrad COMMAND -h` explains a command.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = commands.add_parser(
        "run",
        usage=RUN_USAGE,
        help="run a PyTorch program unmodified",
        description=RUN_TEXT,
        epilog=RUN_FORMS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    info = commands.add_parser(
        "info", help="show versions, optional packages and threads", description="Show what tapegrad runs on."
    )
    info.set_defaults(command=_info)

    demo = commands.add_parser(
        "demo",
        help="train a small network and draw what it learned",
        description="Train a three-layer network on images of digits, print its accuracy on images it has not seen, "
        "and draw the loss and some of its answers.",
    )
    demo.add_argument(
        "--dataset",
        choices=("digits", "mnist"),
        default="digits",
        help="digits: 1,797 images of 8x8, part of tapegrad; mnist: 70,000 of 28x28, from --data (default: digits)",
    )
    demo.add_argument("--data", metavar="DIR", help="the folder of MNIST's four idx files, plain or .gz")
    demo.add_argument("--epochs", metavar="N", type=_positive(int), help="passes over the data (20 digits, 2 mnist)")
    demo.add_argument("--batch-size", metavar="N", type=_positive(int), default=64, help="images a step (default: 64)")
    demo.add_argument("--lr", metavar="X", type=_positive(float), default=1e-3, help="Adam's step (default: 0.001)")
    demo.add_argument("--seed", metavar="N", type=int, default=0, help="of weights, split and shuffles (default: 0)")
    demo.add_argument(
        "--out", metavar="FILE", type=_picture, default="tapegrad-demo.png", help="the picture (tapegrad-demo.png)"
    )
    demo.add_argument("--quiet", action="store_true", help="print the accuracy only")
    demo.set_defaults(command=_demo, parser=demo)
    return parser, run


def _positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return value

    number.__name__ = kind.__name__  # argparse names it in "invalid int value"
    return number


def _picture(path: str) -> str:
    if not path.endswith((".png", ".svg", ".pdf")):
        raise argparse.ArgumentTypeError(f"{path} does not end in .png, .svg or .pdf")
    return path


class _Version(argparse.Action):
    """`--version`, which asks the package only when it is given."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print("tapegrad", importlib.import_module("tapegrad").__version__)
        parser.exit()


# ---- run ------------------------------------------------------------------------------------------------------------


def _run(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """`tapegrad run`: the options of Python's own command line that say what to run."""
    if not words:
        parser.error("nothing to run: give a SCRIPT, -m MODULE or -c CODE")
    first, rest = words[0], words[1:]
    if first in ("-h", "--help"):
        parser.print_help()
        return 0
    runner: Any = importlib.import_module("tapegrad.run")
    option, value = first[:2], first[2:]
    if option in ("-m", "-c"):
        if not value:
            if not rest:
                parser.error(f"argument expected for the {option} option")
            value, rest = rest[0], rest[1:]
        (runner.run_module if option == "-m" else runner.run_command)(value, rest)
        return 0
    if first == "--":
        if not rest:
            parser.error("nothing to run: give a SCRIPT after --")
        first, rest = rest[0], rest[1:]
    elif first.startswith("-") and first != "-":
        parser.error(f"unknown option {first}: options of the program come after its name")
    return _run_script(runner, first, rest)


def _run_script(runner: Any, script: str, args: list[str]) -> int:
    """Run a file; one that cannot be opened is reported as Python reports it."""
    if script != "-":
        try:
            os.stat(script)
            if not os.path.isdir(script):
                open(script, "rb").close()
        except OSError as error:
            path = runner.absolute(script)
            print(f"tapegrad: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
            return 2
    runner.run_script(script, args)
    return 0


# ---- info -----------------------------------------------------------------------------------------------------------


def _info(args: argparse.Namespace) -> int:
    """`tapegrad info`: one aligned line each."""
    package: Any = importlib.import_module("tapegrad")
    numpy: Any = importlib.import_module("numpy")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = package.get_num_threads() if hasattr(package, "get_num_threads") else cpus
    rows = [
        ("tapegrad", f"{package.__version__}  ({os.path.dirname(package.__file__)})"),
        ("Python", f"{platform.python_version()}  ({platform.python_implementation()}, {sys.executable})"),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("CPUs", f"{cpus} usable, {threads} {'thread' if threads == 1 else 'threads'} used"),
        ("numpy", f"{numpy.__version__}  (BLAS: {_blas(numpy)})"),
        *((name, _version(name) or "missing") for name in ("ml_dtypes", "tqdm")),
    ]
    for extra, names in EXTRAS.items():
        rows += [(name, _version(name) or f"not installed  (pip install 'tapegrad[{extra}]')") for name in names]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
    return 0


def _version(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _blas(numpy: Any) -> str:
    """Name and version of the BLAS that NumPy was built with."""
    try:
        blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    except (TypeError, KeyError):
        return "unknown"
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


# ---- demo -----------------------------------------------------------------------------------------------------------


def _demo(args: argparse.Namespace) -> int:
    """`tapegrad demo`."""
    if args.dataset == "mnist" and args.data is None:
        args.parser.error("--dataset mnist needs --data DIR, the folder of its idx files")
    if args.dataset != "mnist" and args.data is not None:
        args.parser.error("--data goes with --dataset mnist; the digits are part of tapegrad")
    importlib.import_module("tapegrad.demo").main(
        dataset=args.dataset,
        data=args.data,
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        seed=args.seed,
        out=args.out,
        quiet=args.quiet,
    )
    return 0
