"""The static binary of the image, in a directory with nothing but what the Dockerfile puts there."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from everything import Server
from support.certificates import Authority
from support.evenkeel import Evenkeel, listener, pool
from support.wait import wait_until


@pytest.fixture(scope="module")
def static():
    """The binary, built for musl."""
    path = os.environ.get("EVENKEEL_STATIC")
    if path is None:
        pytest.skip("cargo xtask contrib --static builds it")
    assert pathlib.Path(path).is_file(), path
    return pathlib.Path(path)


@pytest.fixture
def image(static, contrib, root, tmp_path):
    """The files of the image, laid out as the Dockerfile says; its ports are of the kernel's choice."""
    directory = tmp_path / "image"
    built = {"/evenkeel": static, "/etc/ssl/certs/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt"}
    text = (contrib / "docker/Dockerfile").read_text().split("\nFROM scratch\n")[1]
    for options, source, target in re.findall(r"^COPY ((?:--\S+ )*)(\S+) (\S+)$", text, re.M):
        place = directory / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        mode = re.search(r"--chmod=(\d+)", options)
        if source == "/empty":
            place.mkdir()
        elif "--from=build" not in options:
            shutil.copy(root / source, place)
        elif pathlib.Path(built[source]).exists():
            shutil.copy(built[source], place)
        if mode:
            place.chmod(int(mode[1], 8))
    configuration = directory / "etc/evenkeel/evenkeel.toml"
    configuration.write_text(re.sub(r'bind = "[\d.]+:\d+"', 'bind = "127.0.0.1:0"', configuration.read_text()))
    user = re.search(r"^USER (\S+)$", text, re.M)[1]
    program, command = (json.loads(re.search(rf"^{key} (.*)$", text, re.M)[1]) for key in ("ENTRYPOINT", "CMD"))
    # Without root, the directory cannot be made the process's only one.
    assert os.geteuid() == 0, "only root may change the root directory"
    return ["chroot", f"--userspec={user}", str(directory), *program], command


def test_it_needs_no_library(static, program):
    said = subprocess.run([program("readelf"), "-W", "-l", "-d", static], capture_output=True, text=True, check=True).stdout
    assert "LOAD" in said and "INTERP" not in said and "NEEDED" not in said, said


def test_it_serves_where_nothing_else_is(image, tmp_path):
    program, command = image
    log = tmp_path / "messages"
    with open(log, "wb") as stream:
        process = subprocess.Popen([*program, *command], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        wait_until(lambda: " ready" in log.read_text() or process.poll() is not None, "it is ready")
        assert process.poll() is None, log.read_text()
        port = int(re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text())[1])
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        client.request("GET", "/")
        response = client.getresponse()
        assert (response.status, response.read()[:14]) == (200, b"Evenkeel runs.")
        client.close()
        # By the control socket in /tmp.
        status = subprocess.run([*program, "status"], capture_output=True, text=True)
        assert status.returncode == 0 and f"pid {process.pid}" in status.stdout, status.stdout + status.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()


def test_it_passes_requests_on_over_tls(static, tmp_path):
    server, authority = Server(), Authority(tmp_path)
    process = Evenkeel(static, tmp_path / "static", listener(tls=authority.localhost.tls) + pool([server]))
    try:
        context = authority.client_context()
        client = http.client.HTTPSConnection("127.0.0.1", process.port(), context=context, timeout=15)
        client.request("GET", "/text")
        response = client.getresponse()
        assert (response.status, response.read()[:16]) == (200, b"words and words ")
        client.close()
    finally:
        process.end()
        server.close()
