"""Running other people's programs."""

import shutil
import subprocess

import pytest


def find(program):
    """The program's path; the test is skipped where it is not installed."""
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def run(program, *arguments, stdin=b"", seconds=30, ok=True):
    """What a program prints, both ways together; it must succeed, unless `ok` is False."""
    done = subprocess.run(
        [find(program), *map(str, arguments)],
        input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
    )
    said = done.stdout.decode(errors="replace")
    assert not ok or done.returncode == 0, f"{program} ended with {done.returncode}:\n{said[-3000:]}"
    return said
