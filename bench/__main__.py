"""`python -m bench`: every benchmark, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).parent
    codes = []
    for program in sorted(p for p in here.glob("*.py") if not p.name.startswith("_")):
        print(f"---- bench/{program.name}", flush=True)
        codes.append(subprocess.run([sys.executable, str(program), *sys.argv[1:]], check=False).returncode)
    sys.exit(max(codes))
