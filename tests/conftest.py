"""What every test shares: seeds, the hypothesis profile, the folder ../shared, and when a skip is a failure.

TAPEGRAD_REQUIRE_TORCH=1   a test that compares with torch must run: its skip fails
TAPEGRAD_REQUIRE_SHARED=1  ../shared must be there: a test that needs it fails without it
TAPEGRAD_DEBUG=poison      memory that was not written is NaN (`tapegrad/backends/cpu/poison.py`)
CI=1                       hypothesis draws the same examples every time
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import hypothesis
import numpy as np
import pytest

import tapegrad

REQUIRE_TORCH = "TAPEGRAD_REQUIRE_TORCH"
REQUIRE_SHARED = "TAPEGRAD_REQUIRE_SHARED"
HERE = Path(__file__).resolve().parent
SHARED = HERE.parent.parent / "shared"

os.environ.pop("TAPEGRAD_DEBUG", None)  # tests of fresh processes, of what they import, are about usual ones

hypothesis.settings.register_profile("tapegrad", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True)
hypothesis.settings.load_profile("tapegrad")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data, seeds and conformance tests beside the checkout."""
    if not SHARED.is_dir():
        (pytest.fail if os.environ.get(REQUIRE_SHARED) else pytest.skip)(f"there is no folder {SHARED}")
    return SHARED


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Every test starts from the same random state."""
    random.seed(0)
    np.random.seed(0)
    if hasattr(tapegrad, "manual_seed"):
        tapegrad.manual_seed(0)


# ---- a skip for want of torch ----


def _must_run(path: Path, reason: object) -> bool:
    """Whether a skip there, for that reason, is a failure: one in tests/twin, or for want of torch anywhere."""
    if not os.environ.get(REQUIRE_TORCH):
        return False
    return HERE / "twin" in path.parents or "import 'torch'" in str(reason)


def _fail(report: pytest.CollectReport | pytest.TestReport, path: Path) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and _must_run(path, report.longrepr):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE_TORCH} is set, and this was skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    _fail(report, collector.path)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    _fail(report, item.path)
    return report
