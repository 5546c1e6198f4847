"""The memory allocator's settings, on C libraries that support them."""

from __future__ import annotations

import platform
import subprocess
import sys


def test_glibc_accepts_the_settings() -> None:
    code = "from app.serve.process.allocator import keep_blocks; print(keep_blocks())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(platform.libc_ver()[0] == "glibc")
