"""`tapegrad run` behaves as `python` does, but for `import torch`; `tapegrad info` and `tapegrad demo` work."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

import tapegrad
from tapegrad import cli, demo, run

ROOT = Path(tapegrad.__file__).resolve().parent.parent
PYTHON = [sys.executable]
TAPEGRAD = [sys.executable, "-m", "tapegrad"]
RUN = [*TAPEGRAD, "run"]


def call(command, *args, cwd, **more):
    """Run a command in a fresh process; stdout, stderr and the exit code are in the result."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **more.pop("env", {})}
    return subprocess.run([*command, *args], cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", **more)


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files, given by their paths."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")


# ---- like Python: the same programs, run by both ----

PROGRAMS = {
    "identity": """
        "The doc."
        import sys
        x: int = 1
        print(__name__, __file__, __doc__, __spec__, __package__, type(__loader__).__name__, __annotations__)
        print(__builtins__.__name__, sorted(globals()), sys.argv, sys.path[0])
        print(sys.modules["__main__"].__dict__ is globals(), "torch" in sys.modules and "torch" in globals())
        """,
    "guard": "if __name__ == '__main__': print('main')",
    "exit none": "import sys; sys.exit()",
    "exit int": "import sys; sys.exit(7)",
    "exit str": "import sys; sys.exit('gone')",
    "exit raised": "raise SystemExit(3)",
    "os exit": "import os; os._exit(5)",
    "error": """
        def f(x):
            return 1 / x

        def g():
            f(0)

        g()
        """,
    "chained": """
        import json
        def f():
            try:
                json.loads("{")
            except ValueError as e:
                raise KeyError("k") from e
        try:
            f()
        except KeyError:
            raise RuntimeError("third")
        """,
    "from none": "try: 1 / 0\nexcept ZeroDivisionError: raise ValueError('v') from None",
    "in the library": "import json\njson.loads('{')",
    "recursion": "def f(): f()\nf()",
    "syntax": "x = 1\ny = (\n",
    "indentation": "if 1:\npass",
    "missing module": "import no_such_module_at_all",
    "missing name": "from os import no_such_name",
    "hook": "import sys\nsys.excepthook = lambda k, v, t: print(k, v, t.tb_frame.f_code.co_name, t.tb_next)\n1 / 0",
    "broken hook": "import sys\nsys.excepthook = lambda *a: 1 / 0\nraise ValueError('v')",
    "interrupt": "raise KeyboardInterrupt",
    "atexit": """
        import atexit, threading, time
        atexit.register(print, "exit")
        threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
        print("main")
        """,
    "thread error": """
        import threading, re
        threading.excepthook = lambda a: print(a.exc_type, a.exc_traceback.tb_frame.f_code.co_name)
        t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()
        """,
    "warning": "import warnings\nwarnings.warn('old', DeprecationWarning)",
    "pickle": """
        import pickle
        class A:
            def __eq__(self, other): return type(other) is A
        print(pickle.loads(pickle.dumps(A())) == A(), A.__module__, pickle.dumps(A))
        """,
    "dataclass": """
        from __future__ import annotations
        import dataclasses, inspect, typing
        @dataclasses.dataclass
        class A:
            x: list[int]
        print(typing.get_type_hints(A), A([1]), inspect.getsource(A))
        """,
    "latin": "# -*- coding: latin-1 -*-\nprint('\\xe9')",
    "future": "print(compile('a: x', 's', 'exec').co_flags)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_like_python(name, tmp_path):
    write(tmp_path, {"script.py": PROGRAMS[name]})
    expected, got = (call(c, "script.py", "--one", "-h", "two", cwd=tmp_path) for c in (PYTHON, RUN))
    assert (got.stdout, got.returncode) == (expected.stdout, expected.returncode)
    assert like_ours(got.stderr) == like_ours(expected.stderr)


def like_ours(text: str) -> str:
    """Standard error without what must differ: the depth left to a recursion, our frame around a failing hook."""
    text = re.sub(r"(?<=repeated )\d+(?= more times)", "N", text)
    return re.sub(rf'  File "{re.escape(run.__file__)}", line \d+, in show\n    hook.*\n( +[~^]+\n)?', "", text)


@pytest.mark.parametrize("path", ["./sub/script.py", "sub/../sub/script.py", "link.py"])
def test_paths_like_python(path, tmp_path):
    script = "import helper, sys\nprint(helper.x, sys.path[0], __file__, sys.argv)"
    write(tmp_path, {"sub/script.py": script, "sub/helper.py": "x = 4"})
    (tmp_path / "link.py").symlink_to("sub/script.py")
    expected, got = (call(c, path, cwd=tmp_path) for c in (PYTHON, RUN))
    assert expected.returncode == 0
    assert (got.stdout, got.stderr, got.returncode) == (expected.stdout, expected.stderr, expected.returncode)


SAY = "import sys\nprint(__name__, sys.argv, sys.path[0], __package__, globals().get('__file__'))\n"


@pytest.mark.parametrize(
    "args",
    [
        ("-c", SAY, "-x", "y"),
        ("-c" + SAY,),
        ("-c", ""),
        ("-c", "1 / 0"),
        ("-m", "package", "-h", "--", "a"),
        ("-mpackage.part", "b"),
        ("-m", "package.error"),
        ("-m", "no_such_module"),
        ("-m", "package.none"),
        ("package", "a"),
        ("package.zip", "--b"),
        ("-", "c"),
        ("empty",),
    ],
    ids=lambda args: args[0][:2] + "".join(args)[-9:].strip(),
)
def test_forms_like_python(args, tmp_path):
    write(tmp_path, {"package/part.py": SAY, "package/error.py": "def f(): 1 / 0\nf()", "package/__main__.py": SAY})
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as file:
        file.writestr("__main__.py", SAY)
    expected, got = (call(c, *args, cwd=tmp_path, input=SAY) for c in (PYTHON, RUN))
    assert (got.stdout, got.returncode) == (expected.stdout, expected.returncode)
    assert got.stderr == expected.stderr


@pytest.mark.parametrize("script", ["nope.py", "./no/such/file.py"])
def test_missing_script(script, tmp_path):
    expected, got = (call(c, script, cwd=tmp_path) for c in (PYTHON, RUN))
    assert got.returncode == expected.returncode == 2
    assert got.stderr.partition(": ")[2] == expected.stderr.partition(": ")[2]
    assert got.stderr.startswith("tapegrad: can't open file '/")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupted_like_python(tmp_path):
    """A shell sees 130: the process ends by the signal, as under Python."""
    got = call(["sh", "-c", f"{sys.executable} -m tapegrad run -c 'raise KeyboardInterrupt'; echo $?"], cwd=tmp_path)
    assert got.stdout == "130\n"
    assert got.stderr.splitlines()[-1] == "KeyboardInterrupt"


# ---- `import torch` ----


def test_torch_is_tapegrad(tmp_path):
    """Under all names, in all forms of import, the modules are tapegrad's own, executed once."""
    write(
        tmp_path,
        {
            "torch.py": "raise AssertionError('this torch must not be used')",
            "script.py": """
        import importlib, importlib.util, sys
        import torch
        import torch.nn.functional as F
        from torch import nn, optim
        from torch.utils.data import DataLoader
        import torch.utils.data as data
        import torchvision
        from torchvision import datasets
        from torchvision.transforms import ToTensor
        import tapegrad, tapegrad.nn.functional, tapegrad.utils.data, tapegrad.vision.transforms

        assert torch is tapegrad is sys.modules["torch"] and torch.__name__ == "tapegrad"
        assert F is tapegrad.nn.functional is sys.modules["torch.nn.functional"]
        assert nn is tapegrad.nn and optim is tapegrad.optim and data.DataLoader is DataLoader
        assert data is tapegrad.utils.data and torchvision is tapegrad.vision and datasets is tapegrad.vision.datasets
        assert ToTensor is tapegrad.vision.transforms.ToTensor
        assert importlib.import_module("torch.nn") is nn
        assert importlib.util.find_spec("torch.nn").name == nn.__spec__.name == "tapegrad.nn"
        assert importlib.util.find_spec("torch.no_such") is None
        del sys.modules["torch"], sys.modules["torch.nn"]
        import torch.nn
        assert torch is tapegrad and torch.nn is nn
        print("done")
        """,
        },
    )
    got = call(RUN, "script.py", cwd=tmp_path)
    assert (got.stdout, got.stderr, got.returncode) == ("done\n", "", 0)


def test_torch_imported_before(tmp_path):
    """An installed torch that something has imported already is replaced, with its submodules."""
    write(tmp_path, {"site/torch/__init__.py": "", "site/torch/extra.py": ""})
    write(tmp_path, {"site/sitecustomize.py": "import torch.extra"})
    write(tmp_path, {"script.py": "import sys, torch\nprint(torch.__name__, 'torch.extra' in sys.modules)"})
    env = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path / "site")])}
    assert call(PYTHON, "script.py", cwd=tmp_path, env=env).stdout == "torch True\n"
    assert call(RUN, "script.py", cwd=tmp_path, env=env).stdout == "tapegrad False\n"


@pytest.mark.parametrize(
    "line",
    ["import torch.no_such", "import torch.nn.no_such", "from torch.no_such.below import x", "import torchvision.no"],
)
def test_missing_submodule(line, tmp_path):
    write(tmp_path, {"script.py": f"x = 1\n{line}\n"})
    got = call(RUN, "script.py", cwd=tmp_path)
    name = "torchvision.no" if "vision" in line else "torch.nn.no_such" if ".nn" in line else "torch.no_such"
    real = name.replace("torchvision", "tapegrad.vision").replace("torch.", "tapegrad.")
    assert got.returncode == 1
    lines = got.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{tmp_path}/script.py", line 2, in <module>'
    assert lines[2].strip() == line
    assert lines[-1] == f"ModuleNotFoundError: No module named '{name}': tapegrad does not have it ({real})"
    assert len([x for x in lines if x.startswith("  File")]) == 1


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.skipif(sys.platform == "win32", reason="start methods of POSIX")
def test_worker_processes(method, tmp_path):
    write(
        tmp_path,
        {
            "script.py": """
        import multiprocessing, sys
        import torch

        def work(x):
            import torch.nn
            return x, torch.__name__, __name__, torch.nn is sys.modules["tapegrad.nn"]

        if __name__ == "__main__":
            with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
                print(pool.map(work, [1, 2]))
        """,
        },
    )
    got = call(RUN, "script.py", method, cwd=tmp_path)
    name = "__main__" if method == "fork" else "__mp_main__"
    assert "Traceback" not in got.stderr  # newer Pythons warn of fork where a library has threads
    assert got.stdout == f"{[(x, 'tapegrad', name, True) for x in (1, 2)]}\n"


# ---- the finder, on made-up packages ----


@pytest.fixture
def alias(tmp_path, monkeypatch):
    """Install aliases of a made-up package `small`; the import system is as before afterwards."""
    write(
        tmp_path,
        {
            "small/__init__.py": "count = 0",
            "small/part/__init__.py": "import small\nsmall.count += 1\nvalue = 5",
            "small/part/deep.py": "import small.part\nvalue = 6",
            "small/plain.py": "import math\nfrom small import part as inner\nfrom small.part import deep as renamed",
            "small/broken.py": "import no_such_module_at_all",
            "alias.py": "raise AssertionError('a file of that name must not be used')",
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    before = dict(sys.modules)
    run.install({"alias": "small", "other": "small.part"})
    yield "alias"
    for name in [n for n in sys.modules if n not in before]:
        del sys.modules[name]


def test_finder_gives_the_same_objects(alias):
    import alias.part.deep as deep
    import other
    import other.deep

    modules = sys.modules
    assert modules["alias"] is modules["small"]
    assert modules["alias.part"] is modules["small.part"] is other
    assert deep is modules["small.part.deep"] is other.deep
    assert modules["small"].count == 1  # executed once
    for name in ("small", "small.part", "small.part.deep"):
        assert modules[name].__spec__.name == modules[name].__name__ == name


def test_finder_finds_attributes_that_are_modules(alias):
    plain = importlib.import_module("alias.plain")
    assert importlib.import_module("alias.plain.renamed") is plain.renamed
    assert importlib.import_module("alias.plain.inner.deep") is plain.renamed
    with pytest.raises(ModuleNotFoundError, match=r"alias\.plain\.math"):  # not the package's own
        importlib.import_module("alias.plain.math")


def test_finder_misses(alias):
    with pytest.raises(ModuleNotFoundError) as info:
        importlib.import_module("alias.part.none")
    assert str(info.value) == "No module named 'alias.part.none': small does not have it (small.part.none)"
    assert info.value.name == "alias.part.none"
    assert importlib.util.find_spec("alias.part.none") is None
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_module_at_all'$"):
        importlib.import_module("alias.broken")
    with pytest.raises(ModuleNotFoundError, match="gone does not have it"):
        run.AliasFinder({"x": "gone"}).find_spec("x")
    assert run.AliasFinder({"x": "gone"}).find_spec("xx") is None


def test_install_once(alias):
    first = run.install({"alias": "small"})
    assert run.install({"alias": "small"}) is first
    assert [f for f in sys.meta_path if isinstance(f, run.AliasFinder)].count(first) == 1


# ---- tracebacks ----


FAILS = """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x @ x  # here

def main():
    Net()(torch.ones(2, 3))

main()
"""


def frames(stderr: str) -> list[str]:
    return [line.strip() for line in stderr.splitlines() if line.startswith("  File")]


def test_traceback_ends_in_the_program(tmp_path):
    write(tmp_path, {"script.py": FAILS})
    got = call(RUN, "script.py", cwd=tmp_path)
    shown = frames(got.stderr)
    assert shown[0] == f'File "{tmp_path}/script.py", line 10, in <module>'
    assert shown[1] == f'File "{tmp_path}/script.py", line 8, in main'
    assert shown[-1] == f'File "{tmp_path}/script.py", line 5, in forward'
    assert not [f for f in shown if "run.py" in f or "cli.py" in f or "runpy" in f]
    assert got.stderr.count("Traceback") == 1


def test_full_traceback(tmp_path):
    write(tmp_path, {"script.py": FAILS})
    got = call(RUN, "script.py", cwd=tmp_path, env={run.FULL_TRACEBACK: "1"})
    assert len(frames(got.stderr)) > len(frames(call(RUN, "script.py", cwd=tmp_path).stderr))
    assert f'File "{run.__file__}"' in got.stderr
    assert f"{Path(tapegrad.__file__).parent}" in frames(got.stderr)[-1] or "<" in frames(got.stderr)[-1]


def raised(source: str, name: str, file: str, **more) -> BaseException:
    """The exception of code that belongs to the module `name`."""
    namespace = {"__name__": name, **more}
    try:
        exec(compile(source, file, "exec"), namespace)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def folded(error: BaseException) -> list[str]:
    """The files of the frames that are shown, without raised()'s own."""
    return [e.tb_frame.f_code.co_filename for e in run._entries(run._fold(error))][1:]


def function(source: str, name: str, file: str, **more):
    namespace = {"__name__": name, **more}
    exec(compile(source, file, "exec"), namespace)
    return namespace["f"]


def test_fold_keeps_what_the_program_called():
    inner = function("def f(): 1 / 0", "tapegrad.inner", "inner.py")
    assert folded(raised("f()", "user", "user.py", f=inner)) == ["user.py"]
    library = function("def f(): g()", "library", "library.py", g=inner)
    assert folded(raised("f()", "user", "user.py", f=library)) == ["user.py", "library.py"]
    numpy = function("def f(): 1 / 0", "numpy.core", "numpy.py")
    assert folded(raised("f()", "user", "user.py", f=numpy)) == ["user.py", "numpy.py"]
    middle = function("def f(): g()", "tapegrad.middle", "middle.py", g=numpy)
    assert folded(raised("f()", "user", "user.py", f=middle)) == ["user.py"]
    forward = function("def f(): g()", "user", "forward.py", g=middle)
    outer = function("def f(): g()", "tapegrad.outer", "outer.py", g=forward)
    assert folded(raised("f()", "user", "user.py", f=outer)) == ["user.py", "outer.py", "forward.py"]


def test_fold_follows_causes():
    inner = function("def f(): 1 / 0", "tapegrad.inner", "inner.py")
    explain = "def f():\n    try: g()\n    except ZeroDivisionError as e: raise ValueError('v')"
    hidden = raised("f()", "user", "user.py", f=function(explain, "tapegrad.outer", "outer.py", g=inner))
    assert folded(hidden) == ["user.py"]
    assert hidden.__context__ is None  # wholly inside tapegrad: not the program's concern
    told = raised("f()", "user", "user.py", f=function(explain + " from e", "tapegrad.outer", "outer.py", g=inner))
    assert folded(told) == ["user.py"]
    assert isinstance(told.__cause__, ZeroDivisionError)
    assert told.__cause__.__traceback__ is None
    own = raised(explain.removeprefix("def f():\n").replace("    ", ""), "user", "user.py", g=inner)
    run._fold(own)
    context = own.__context__
    assert [e.tb_frame.f_code.co_filename for e in run._entries(context.__traceback__)] == ["user.py"]


# ---- the command line ----


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("nonsense",), "invalid choice: 'nonsense'"),
        (("info", "--nonsense"), "unrecognized arguments: --nonsense"),
        (("run",), "nothing to run: give a SCRIPT, -m MODULE or -c CODE"),
        (("run", "--nonsense", "x.py"), "unknown option --nonsense"),
        (("run", "-m"), "argument expected for the -m option"),
        (("run", "-c"), "argument expected for the -c option"),
        (("run", "--"), "nothing to run"),
        (("info", "more"), "unrecognized arguments: more"),
        (("demo", "--epochs", "0"), "argument --epochs: 0 is not a positive number"),
        (("demo", "--epochs", "many"), "argument --epochs: invalid int value: 'many'"),
        (("demo", "--lr", "inf"), "argument --lr: inf is not a positive number"),
        (("demo", "--out", "a.xyz"), "argument --out: a.xyz does not end in .png, .svg or .pdf"),
        (("demo", "--dataset", "cats"), "invalid choice: 'cats'"),
        (("demo", "--dataset", "mnist"), "--dataset mnist needs --data DIR"),
        (("demo", "--data", "."), "--data goes with --dataset mnist"),
    ],
)
def test_wrong_usage(args, text, capsys):
    with pytest.raises(SystemExit) as info:
        cli.main(args)
    assert info.value.code == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert captured.err.startswith("usage: tapegrad")
    assert captured.out == ""


@pytest.mark.parametrize("args", [("-h",), ("run", "-h"), ("run", "--help"), ("info", "-h"), ("demo", "-h")])
def test_help(args, capsys):
    try:
        assert cli.main(args) == 0
    except SystemExit as exit:
        assert exit.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: tapegrad {'' if args == ('-h',) else args[0]}".rstrip())
    assert all(len(line) <= 100 for line in text.splitlines())


def test_version(capsys):
    with pytest.raises(SystemExit) as info:
        cli.main(["--version"])
    assert info.value.code == 0
    assert capsys.readouterr().out == f"tapegrad {tapegrad.__version__}\n"


def test_reading_the_command_line_is_light(tmp_path):
    """cli.py itself imports the standard library only."""
    code = """if 1:
        import sys, importlib.util
        spec = importlib.util.spec_from_file_location("cli", sys.argv[1])
        cli = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cli)
        try:
            cli.main(["--help"])
        except SystemExit:
            print(sorted({"numpy", "tapegrad", "tqdm", "matplotlib"} & set(sys.modules)))
    """
    got = call(PYTHON, "-c", code, cli.__file__, cwd=tmp_path)
    assert got.stdout.splitlines()[-1] == "[]", got.stderr


def test_info(capsys):
    assert cli.main(["info"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["tapegrad"].startswith(tapegrad.__version__)
    assert rows["Python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert "BLAS: " in rows["numpy"] and "thread" in rows["CPUs"]
    assert {"ml_dtypes", "tqdm", "llvmlite", "pillow", "matplotlib", "graphviz"} <= rows.keys()


def test_info_without_extras(capsys, monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert "llvmlite    not installed  (pip install 'tapegrad[fast]')" in text
    assert "tqdm        missing" in text


# ---- the demo ----


def test_demo(tmp_path, capsys):
    out = tmp_path / "picture.png"
    assert cli.main(["demo", "--out", str(out)]) == 0
    text = capsys.readouterr().out.splitlines()
    assert text[0].startswith("digits: 1,438 training and 359 test images of 8x8; ")
    assert text[1].startswith("test accuracy: ")
    assert float(text[1].split()[2]) > 95
    assert text[2] == f"picture: {out}"
    assert out.read_bytes().startswith(b"\x89PNG")
    assert out.stat().st_size > 20_000


def test_demo_quiet_and_reproducible(tmp_path, capsys):
    accuracies = [demo.main(epochs=1, quiet=True, seed=s, out=str(tmp_path / "a.png")) for s in (3, 3)]
    assert accuracies[0] == accuracies[1]
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [line.startswith("test accuracy: ") for line in captured.out.splitlines()] == [True, True]


def test_demo_without_matplotlib(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["demo", "--epochs", "1", "--quiet", "--out", str(tmp_path / "a.png")]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "no picture: it needs matplotlib (pip install 'tapegrad[plot]')"
    ]
    assert list(tmp_path.iterdir()) == []


def test_demo_without_folders(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for args, text in (
        (["--dataset", "mnist", "--data", str(tmp_path / "none")], "no folder "),
        (["--dataset", "mnist", "--data", str(tmp_path / "empty")], "MNIST: "),
        (["--out", str(tmp_path / "none" / "a.png")], "no folder "),
    ):
        assert cli.main(["demo", *args]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith(f"tapegrad: error: {text}")
        assert captured.out == ""


def test_demo_mnist(shared, tmp_path, capsys):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for file in (shared / "data" / "mnist").glob("*ubyte.gz"):
        (folder / file.name).symlink_to(file)
    accuracy = demo.main("mnist", str(folder), epochs=1, quiet=True, out=str(tmp_path / "a.png"))
    assert accuracy > 0.9
    assert "of 10,000 images" in capsys.readouterr().out
