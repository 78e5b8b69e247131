"""The size of the wheel, and what it is made of: builds it from a copy of the working tree.

python tools/wheel.py [--limit BYTES]     with a limit, the exit status says whether the wheel is below it
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADERS = 30 + 46  # bytes that a zip file takes for each member, besides its name, twice


def build(folder: Path) -> Path:
    """The wheel, made in `folder`, so that the working tree stays as it is."""
    source = folder / "source"
    shutil.copytree(ROOT / "tapegrad", source / "tapegrad", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def shares(wheel: Path) -> Counter[str]:
    """Bytes of the wheel for each folder of the package, file names and headers included."""
    found: Counter[str] = Counter()
    for member in zipfile.ZipFile(wheel).infolist():
        parts = member.filename.split("/")
        folder = "/".join(parts[:2]) if len(parts) > 2 else parts[0]
        found[folder] += member.compress_size + 2 * len(member.filename) + HEADERS
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, metavar="BYTES", help="fail if the wheel is not below this")
    limit = parser.parse_args().limit
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        size = wheel.stat().st_size
        for name, share in shares(wheel).most_common():
            print(f"{share:9,}  {name}")
        print(f"{size:9,}  {wheel.name}")
    if limit is not None and size >= limit:
        sys.exit(f"{size - limit:,} bytes above the limit")


if __name__ == "__main__":
    main()
