"""Lives of a program that works on a folder and says so line by line: killed after some, or lived to the end."""

import subprocess
import sys
from pathlib import Path


def lived(module: str, folder: Path, lines: int | None) -> None:
    """Run a module on a folder for so many lines and kill it then, or to the end."""
    command = [sys.executable, "-m", module, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for n, _ in enumerate(process.stdout, 1):
            if n == lines:
                process.kill()
        process.wait()
    assert (process.returncode == 0) == (lines is None)
