"""TCP Fast Open with curl, in a network namespace in which the kernel allows it; that takes root."""

import os
import subprocess

import pytest

from support.command import find, run
from support.evenkeel import Evenkeel, listener

OWN = '[[route]]\nrespond = { body = "own" }\n'


def counter(process, name):
    """A counter of the namespace's TCP."""
    names, values = [
        line.split()
        for line in run("nsenter", "-t", process.pid, "-n", "cat", "/proc/self/net/netstat").splitlines()
        if line.startswith("TcpExt:")
    ]
    return int(values[names.index(name)])


@pytest.fixture
def apart(binary, tmp_path):
    """Starts the binary in a namespace of its own, in which servers may take data with the first packet."""
    for program in ("unshare", "nsenter", "ip"):
        find(program)
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"]).returncode != 0:
        pytest.skip("a network namespace takes root")
    wrapper = tmp_path / "apart"
    wrapper.write_text(
        "#!/bin/sh\nexec unshare -n sh -c 'ip link set lo up; "
        f'echo 3 >/proc/sys/net/ipv4/tcp_fastopen; exec "$0" "$@"\' {binary} "$@"\n'
    )
    wrapper.chmod(0o755)
    started = []

    def start(configuration):
        started.append(Evenkeel(wrapper, tmp_path / f"evenkeel-{len(started)}", configuration))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.mark.parametrize("fast", [True, False])
def test_data_comes_with_the_first_packet_once_a_client_has_a_cookie(apart, fast):
    keys = {"fast_open": 16} if fast else {}
    started = apart(listener(pool=None, **keys) + OWN)
    for _ in range(3):
        said = run(
            "nsenter", "-t", started.process.pid, "-n",
            "curl", "--silent", "--show-error", "--max-time", "10", "--tcp-fastopen",
            f"http://127.0.0.1:{started.port()}/",
        )
        assert said == "own"
    # The first connection asks for the cookie, the other two use it.
    assert counter(started.process, "TCPFastOpenPassive") == (2 if fast else 0)
