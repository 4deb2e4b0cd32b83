"""The systemd units: systemd takes them, they expose little, and the process does nothing that they forbid."""

import os
import re
import signal
import subprocess

import pytest

from everything import Everything
from support.certificates import Authority
from support.evenkeel import Evenkeel, listener
from support.wait import wait_until

# What `systemd-analyze security` counts, from 0 to 100.
EXPOSURE_MAX = 19


@pytest.fixture(scope="module")
def unit(contrib):
    """The service, as text."""
    return (contrib / "systemd/evenkeel.service").read_text()


def analyze(program, *arguments):
    """Runs systemd-analyze; it must be content."""
    done = subprocess.run([program("systemd-analyze"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_systemd_takes_the_units(contrib, unit, binary, program, tmp_path):
    service, sockets = tmp_path / "evenkeel.service", tmp_path / "evenkeel.socket"
    service.write_text(unit.replace("/usr/bin/evenkeel", str(binary)))
    sockets.write_text((contrib / "systemd/evenkeel.socket").read_text())
    said = analyze(program, "verify", "--man=no", str(service), str(sockets))
    assert said.stdout + said.stderr == ""


def test_the_service_exposes_little(contrib, program):
    analyze(
        program, "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}",
        str(contrib / "systemd/evenkeel.service"),
    )


def test_the_commands_of_the_service_start_and_reload_it(unit, binary, tmp_path, monkeypatch):
    # As systemd sets it because of RuntimeDirectory.
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    running = Evenkeel(binary, tmp_path, "[[route]]\nrespond = {}\n" + listener(pool=None))
    file = tmp_path / "evenkeel.toml"

    def command(key):
        line = re.search(rf"^{key}=/usr/bin/evenkeel (.*)$", unit, re.M)[1]
        words = line.replace("/etc/evenkeel/evenkeel.toml", str(file)).split()
        return subprocess.run([binary, *words], capture_output=True, text=True)

    try:
        assert re.search(r"^ExecStart=/usr/bin/evenkeel run -c /etc/evenkeel/evenkeel.toml$", unit, re.M)
        assert command("ExecStartPre").returncode == 0
        assert command("ExecReload").returncode == 0
        file.write_text(file.read_text() + "[nonsense]\n")
        assert command("ExecStartPre").returncode == 1
        refused = command("ExecReload")
        assert refused.returncode == 1 and "nonsense" in refused.stderr
    finally:
        running.end()


def allowed_calls(program, unit):
    """The system calls that the unit's filters leave."""

    def members(group):
        listed = analyze(program, "syscall-filter", group).stdout
        names = [line.strip() for line in listed.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
        return set().union(*(members(name) if name.startswith("@") else {name} for name in names))

    filters = re.findall(r"^SystemCallFilter=(~?)(\S+)$", unit, re.M)
    assert len(filters) == 2
    allowed = set()
    for without, group in filters:
        allowed = allowed - members(group) if without else allowed | members(group)
    return allowed


def check_trace(program, unit, trace):
    """All that strace has seen is allowed by the unit."""
    lines = [line.split(None, 1)[1] for line in trace.read_text().splitlines()]
    calls = {call[1] for line in lines if (call := re.match(r"(?:<\.\.\. )?(\w+)(?:\(| resumed)", line))}
    assert len(calls) > 30, "the trace is of the process and its traffic"
    # x86-64 has calls of its own behind some names of libc.
    assert calls - allowed_calls(program, unit) <= {"arch_prctl"}
    memory = [line for line in lines if re.match(r"(mmap|mprotect|pkey_mprotect|shmat)\(", line)]
    assert memory and not [line for line in memory if "PROT_WRITE" in line and "PROT_EXEC" in line]
    families = set(re.findall(r"^socket\((\w+)", "\n".join(lines), re.M))
    allowed = re.search(r"^RestrictAddressFamilies=(.*)$", unit, re.M)[1].split()
    assert families and families <= set(allowed)


def test_the_process_does_nothing_that_the_service_forbids(binary, program, unit, tmp_path):
    trace = tmp_path / "trace"
    strace = [program("strace"), "-D", "-f", "-qq", "-o", str(trace)]
    running = Everything(binary, tmp_path, Authority(tmp_path), under=strace)
    running.end()
    check_trace(program, unit, trace)


def test_an_upgrade_does_nothing_that_the_service_forbids(binary, program, unit, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    trace = tmp_path / "trace"
    strace = [program("strace"), "-D", "-f", "-qq", "-o", str(trace)]
    running = Evenkeel(binary, tmp_path, "[[route]]\nrespond = {}\n" + listener(pool=None), under=strace)
    try:
        done = subprocess.run(
            [binary, "upgrade", "-c", tmp_path / "evenkeel.toml"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        successor = int(re.search(r"process (\d+) serves", done.stdout)[1])
        running.process.wait(15)
        os.kill(successor, signal.SIGTERM)
        wait_until(lambda: not os.path.exists(f"/proc/{successor}"), "the successor has ended")
    finally:
        running.end()
    check_trace(program, unit, trace)
