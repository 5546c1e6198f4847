"""``make check``: runs every check, reports every result, and fails if one check fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

CHECKS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy"],
    "layers": ["lint-imports"],
    "templates": ["cfn-lint", "infra/aws/snowsage.yaml"],
}


def main() -> int:
    """Run all checks. The exit code is 0 if all passed."""
    failed = []
    for name, (tool, *arguments) in CHECKS.items():
        started = time.monotonic()
        done = subprocess.run([str(BIN / tool), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        print(
            f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name:<10} {time.monotonic() - started:5.1f} s",
            flush=True,
        )
        if done.returncode != 0:
            failed.append(name)
            print(f"{done.stdout}{done.stderr}".rstrip())
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
