"""What the tests of independent peers share: the binary, certificates, and servers behind it."""

import os
import pathlib

import pytest

from support.certificates import Authority
from support.evenkeel import Evenkeel
from support.origin import Origin

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def binary():
    """The program under test: $EVENKEEL, or the debug build."""
    path = pathlib.Path(os.environ.get("EVENKEEL", ROOT / "target/debug/evenkeel")).resolve()
    assert path.is_file(), f"{path} is missing; build it, or name another in EVENKEEL"
    return path


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate authority with certificates for localhost, in files."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def evenkeel(binary, tmp_path):
    """Starts the binary with a configuration, as often as it is called; each is ended, and must not have panicked."""
    started = []

    def start(configuration, **options):
        directory = tmp_path / f"evenkeel-{len(started)}"
        process = Evenkeel(binary, directory, configuration, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.end()


@pytest.fixture
def origin(authority):
    """Starts servers for Evenkeel to forward to: `origin("h1" | "h2" | "h2s", handler)`."""
    started = []

    def start(protocol, handler, **options):
        tls = authority.server_context("h2") if protocol == "h2s" else None
        server = Origin(protocol, handler, tls=tls, **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()
