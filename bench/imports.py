"""What `import tapegrad` costs over `import numpy`, in fresh processes, interleaved.

python bench/imports.py [--rounds 11]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

PROGRAM = "import time, numpy; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module: str) -> float:
    """How long the import takes once NumPy is loaded."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # an installed package has bytecode
    command = [sys.executable, "-c", PROGRAM.format(module)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return float(out.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    modules = ["tapegrad"]
    try:
        seconds("torch")
        modules.append("torch")
    except subprocess.CalledProcessError:
        print("torch is not installed: timing tapegrad alone")
    seconds("tapegrad")  # compiles the bytecode
    times = {m: [] for m in modules}
    for _ in range(rounds):
        for m in modules:
            times[m].append(seconds(m))
    for m, found in times.items():
        print(f"import {m:10s} after numpy: median {statistics.median(found):.3f} s, fastest {min(found):.3f} s")


if __name__ == "__main__":
    main()
