"""TCP by server name, between `openssl s_client` and `openssl s_server`."""

import json
import re
import socket
import subprocess

import pytest

from support.command import run
from support.wait import wait_until


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


@pytest.fixture
def servers(authority):
    """Two servers, each with a certificate for a name of its own; they send each line back reversed."""
    started = {}
    for name in ["one.example.com", "two.example.com"]:
        issued = authority.issue(name, name)
        port = free_port()
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-rev", "-quiet"]
        process = subprocess.Popen(
            [*command, "-cert", issued.cert, "-key", issued.key],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        started[name] = (port, process)
    for port, _ in started.values():
        wait_until(lambda port=port: accepts(port), "openssl s_server listens")
    yield {name: port for name, (port, _) in started.items()}
    for _, process in started.values():
        process.kill()
        process.wait()


def configuration(servers, passthrough=None):
    text = '[listener.mail]\nbind = "127.0.0.1:0"\nprotocol = "tcp"\n'
    if passthrough:
        own, name = passthrough
        text += f'pool = "one"\ntls.certificates = [{{ cert = "{own.cert}", key = "{own.key}" }}]\n'
        text += f'tls.passthrough = [{{ sni = "{name}", pool = "two" }}]\n'
    for name, port in servers.items():
        pool = name.split(".")[0]
        if not passthrough:
            text += f'[[route]]\nlistener = "mail"\nsni = "{name}"\npool = "{pool}"\n'
        text += f'[pool.{pool}]\nbackends = [{port}]\n'
    return text


def shown(port, name, *arguments):
    """The names of the certificate that a client of `name` is shown."""
    said = run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, *arguments,
        stdin=b"desserts\n",
    )
    certificate = said[said.index("-----BEGIN"):said.index("-----END") + 25].encode()
    names = run("openssl", "x509", "-noout", "-ext", "subjectAltName", stdin=certificate)
    return re.findall(r"DNS:([^,\s]+)", names)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_each_name_reaches_the_server_that_has_its_certificate(evenkeel, servers, version):
    process = evenkeel(configuration(servers))
    for name in servers:
        assert shown(process.port("mail"), name, version) == [name]
    process.leave()
    wait_until(lambda: process.process.poll() is not None, "it has left")
    records = [json.loads(line) for line in process.access_file.read_text().splitlines()]
    assert sorted(record["sni"] for record in records) == sorted(servers)


def test_a_name_that_passes_through_beside_one_that_is_terminated(evenkeel, authority, servers):
    own = authority.issue("own", "shop.example.com")
    process = evenkeel(configuration(servers, passthrough=(own, "two.example.com")))
    assert shown(process.port("mail"), "two.example.com") == ["two.example.com"]
    assert shown(process.port("mail"), "shop.example.com") == ["shop.example.com"]
