"""What the tests of contrib share: the binary, and a process with all features in use."""

import os
import pathlib
import shutil

import pytest

from everything import Everything
from support.certificates import Authority
from support.evenkeel import Evenkeel

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def contrib():
    """Where the files under test are."""
    return ROOT / "contrib"


@pytest.fixture(scope="session")
def binary():
    """The program: $EVENKEEL, or the debug build."""
    path = pathlib.Path(os.environ.get("EVENKEEL", ROOT / "target/debug/evenkeel")).resolve()
    assert path.is_file(), f"{path} is missing; build it, or name another in EVENKEEL"
    return path


@pytest.fixture
def evenkeel(binary, tmp_path):
    """Starts the binary with a configuration, as often as it is called."""
    started = []

    def start(configuration, **options):
        process = Evenkeel(binary, tmp_path / f"evenkeel-{len(started)}", configuration, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.end()


@pytest.fixture(scope="session")
def everything(binary, tmp_path_factory):
    """A process with all features in use, and traffic that has touched each of them."""
    directory = tmp_path_factory.mktemp("everything")
    running = Everything(binary, directory, Authority(tmp_path_factory.mktemp("certificates")))
    yield running
    running.end()


@pytest.fixture(scope="session")
def program():
    """Finds a program that a Debian package brings; `cargo xtask contrib` installs all of them."""

    def find(name):
        path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/lib/systemd")
        assert path, f"{name} is not installed: cargo xtask contrib installs it"
        return path

    return find
