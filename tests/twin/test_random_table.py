"""The table in docs/RANDOM.md: it is up to date, and every row of it is true."""

from __future__ import annotations

import importlib.util
import math
import warnings
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tapegrad  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("random_table", ROOT / "tools" / "random_table.py")
table = importlib.util.module_from_spec(_spec)
import sys  # noqa: E402

sys.modules["random_table"] = table  # dataclasses look their module up
_spec.loader.exec_module(table)


def words_used(draw):
    generator = torch.Generator().manual_seed(0)
    draw(torch.empty(7), generator)
    return int(generator.get_state()[16])


_x = np.random.default_rng(0).random(10_000)
EXACT = {  # where bit-equal rows can be expected to be, by what the stream depends on
    "": torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"),
    "vector": torch.backends.cpu.get_cpu_capability() == "AVX2",
    "mkl": words_used(lambda t, g: t.bernoulli_(0.5, generator=g)) == 14,
    "library": all(
        np.array_equal(getattr(np, name)(_x), [getattr(math, name)(v) for v in _x.tolist()])
        for name in ("log", "log1p", "sin", "cos", "tan", "exp")
    ),
}


def array(t) -> np.ndarray:
    t = t.detach()
    if isinstance(t, tapegrad.Tensor):
        return np.ascontiguousarray(t.array)
    t = t.contiguous()
    return t.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if t.dtype == torch.bfloat16 else t.numpy()


def ulps(x: np.ndarray, y: np.ndarray) -> int:
    """The largest distance in representable numbers; integers: 0 or a large number."""
    assert x.dtype == y.dtype and x.shape == y.shape
    if x.dtype.kind == "c":
        x, y = (v.reshape(-1).view(f"f{v.dtype.itemsize // 2}") for v in (x, y))
    if x.dtype.kind in "iub":
        return 0 if np.array_equal(x, y) else 2**31
    kind = np.dtype(f"i{x.dtype.itemsize}")
    x, y = (v.reshape(-1).view(kind).astype(np.int64) for v in (x, y))
    x, y = (np.where(v < 0, np.iinfo(kind).min - v, v) for v in (x, y))
    return int(np.abs(x - y).max(initial=0))


def test_the_file_is_up_to_date():
    assert table.FILE.read_text("utf-8") == table.render(), "run python tools/random_table.py"


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: f"{row.name}-{row.types[0]}")
def test_row(row):
    if row.stream == "mkl" and not EXACT["mkl"]:
        pytest.skip("PyTorch takes this stream from MKL here")
    allowed = {table.EQUAL: 0, table.ULP: row.ulps, table.DIFFERS: None}[row.agrees]
    if not (EXACT[""] and EXACT[row.stream] and EXACT["library"]):
        allowed = None
    for case in table.cases(row):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (ours, after_ours), (theirs, after_theirs) = (table.draw(T, row, *case) for T in (tapegrad, torch))
        assert tuple(ours.shape) == tuple(theirs.shape) and str(ours.dtype) == str(theirs.dtype), case
        in_step = after_ours[:2] == after_theirs[:2] and abs(after_ours[2] - after_theirs[2]) < 1e-6
        assert in_step, f"{case}: the generators are not in step"
        if allowed is None:
            if "multinomial" not in row.name:
                wide = [array(t).astype(np.complex128) for t in (ours, theirs)]
                half = case[0].endswith("16")
                np.testing.assert_allclose(*wide, 2e-2 if half else 1e-4, 1e-2 if half else 1e-6, err_msg=str(case))
        else:
            assert ulps(array(ours), array(theirs)) <= allowed, case


def test_every_row_that_differs_says_why():
    assert all(row.why for row in table.ROWS if row.agrees != table.EQUAL)
