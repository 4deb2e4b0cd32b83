"""The PROXY protocol with nginx, HAProxy and curl, as senders and as receivers, for HTTP and for TCP."""

import json
import pathlib
import socket
import subprocess
import threading

import pytest

from support.command import find, run
from support.evenkeel import listener, pool
from support.wait import wait_until

STREAM_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
NGINX = """
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
{modules}
events {{ worker_connections 64; }}
{text}
"""
TEMP = "".join(
    f" {kind}_temp_path {{directory}}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)
HAPROXY = """
global
    maxconn 64
defaults
    timeout client 10s
    timeout connect 5s
    timeout server 10s
{text}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def program(tmp_path):
    """Starts a program that listens on a port; it ends with the test."""
    started = []

    def start(command, port):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)

        def answers():
            assert process.poll() is None, f"{command[0]} does not start"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(answers, f"{command[0]} listens")

    yield start
    for process in started:
        process.terminate()
        process.wait()


@pytest.fixture
def nginx(program, tmp_path):
    """Starts nginx with `text`, in which `{port}` is where it listens."""

    def start(text, modules=""):
        port, file = free_port(), tmp_path / "nginx.conf"
        text = text.replace("{port}", str(port))
        if "http {" in text:
            text = text.replace("http {", "http {" + TEMP.format(directory=tmp_path) + " access_log off;")
        file.write_text(NGINX.format(directory=tmp_path, modules=modules, text=text))
        program([find("nginx"), "-c", str(file), "-p", str(tmp_path), "-e", str(tmp_path / "error.log")], port)
        return port

    return start


@pytest.fixture
def haproxy(program, tmp_path):
    """Starts HAProxy with `text`, in which `{port}` is where it listens."""

    def start(text):
        port, file = free_port(), tmp_path / "haproxy.cfg"
        file.write_text(HAPROXY.format(text=text.replace("{port}", str(port))))
        program([find("haproxy"), "-db", "-f", str(file)], port)
        return port

    return start


def ask(port, *options, scheme="http"):
    return run("curl", "--silent", "--show-error", "--max-time", "10", *options, f"{scheme}://localhost:{port}/")


def forwarded(exchange):
    """Answers with what the server learns of the client."""
    exchange.read()
    fields = dict(exchange.fields)
    names = ("x-forwarded-for", "x-forwarded-port", "x-forwarded-proto")
    exchange.head(200)
    exchange.write(" ".join(fields.get(name, "-") for name in names).encode(), end=True)


@pytest.fixture
def behind(evenkeel, origin, authority):
    """Evenkeel with a listener in clear and one with TLS, which take headers from 127.0.0.1."""
    server = origin("h1", forwarded)
    accept = {"accept_proxy_protocol": '"127.0.0.1"'}
    sections = listener("web", **accept) + listener("secure", tls=authority.localhost.tls, **accept)
    return evenkeel(sections + pool([server]))


def test_curl_sends_version_1(behind):
    assert ask(behind.port(), "--haproxy-protocol").startswith("127.0.0.1 ")
    assert ask(behind.port("secure"), "--haproxy-protocol", "--insecure", scheme="https").endswith(" https")


@pytest.mark.parametrize(
    "options",
    [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c",
        "send-proxy-v2 proxy-v2-options unique-id,authority,crc32c",
        "send-proxy-v2-ssl",
        "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,crc32c",
    ],
)
@pytest.mark.parametrize("name", ["web", "secure"])
def test_haproxy_sends(behind, haproxy, options, name):
    port = haproxy(
        "listen relay\n mode tcp\n bind 127.0.0.2:{port}\n bind 127.0.0.1:{port}\n"
        f" unique-id-format %pid-%rt\n server a 127.0.0.1:{behind.port(name)} {options}\n"
    )
    scheme = "http" if name == "web" else "https"
    said = ask(port, "--interface", "127.0.0.5", "--insecure", "--resolve", f"localhost:{port}:127.0.0.2", scheme=scheme)
    assert said == f"127.0.0.5 {port} {scheme}"


def test_haproxy_checks_with_local(behind, haproxy):
    """Its health checks say LOCAL, and count as its own connections."""
    haproxy(
        "listen relay\n mode http\n bind 127.0.0.1:{port}\n option httpchk GET /check\n"
        f" http-check send hdr host localhost\n server a 127.0.0.1:{behind.port()} send-proxy-v2 check inter 100\n"
    )
    wait_until(lambda: "/check" in behind.access_file.read_text(), "a check has come")
    assert '"status":200' in behind.access_file.read_text().replace(" ", "")


def test_nginx_sends(behind, nginx):
    if not STREAM_MODULE.exists():
        pytest.skip("nginx has no stream module")
    port = nginx(
        "stream { server { listen 127.0.0.1:{port}; proxy_protocol on; "
        f"proxy_pass 127.0.0.1:{behind.port()}; }} }}",
        modules=f"load_module {STREAM_MODULE};",
    )
    assert ask(port, "--interface", "127.0.0.5") == f"127.0.0.5 {port} http"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_receives(evenkeel, nginx, version):
    server = nginx(
        "http { server { listen 127.0.0.1:{port} proxy_protocol; "
        "location / { return 200 '$proxy_protocol_addr $proxy_protocol_server_port'; } } }"
    )
    sections = listener() + pool([server], proxy_protocol=f'"{version}"', health='{ path = "/", interval = "100ms" }')
    port = evenkeel(sections).port()
    assert ask(port, "--interface", "127.0.0.6") == f"127.0.0.6 {port}"


RECEIVER = (
    "frontend in\n mode http\n bind 127.0.0.1:{port} accept-proxy{tls}\n"
    " http-request return status 200 content-type text/plain lf-string"
    ' "%[src] %[dst_port] %[fc_pp_unique_id] %[fc_pp_authority]"\n'
)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_receives(evenkeel, haproxy, authority, version):
    server = haproxy(RECEIVER.replace("{tls}", ""))
    health = '{ path = "/", interval = "100ms" }'
    sections = listener() + listener("secure", tls=authority.localhost.tls)
    started = evenkeel(sections + pool([server], proxy_protocol=f'"{version}"', health=health))
    port, secure = started.port(), started.port("secure")
    address, to, *rest = ask(port, "--interface", "127.0.0.6").split()
    assert (address, to) == ("127.0.0.6", str(port))
    # The id of the request, which only version 2 has room for.
    assert len(rest) == (1 if version == "v2" else 0)
    said = ask(secure, "--interface", "127.0.0.6", "--insecure", scheme="https").split()
    assert said[1] == str(secure)
    assert said[3:] == (["localhost"] if version == "v2" else [])


def test_many_clients_share_no_connection(evenkeel, haproxy):
    """Each client's requests reach HAProxy under its own address, whatever the order."""
    server = haproxy(RECEIVER.replace("{tls}", ""))
    port = evenkeel(listener() + pool([server], proxy_protocol='"v2"')).port()
    failed = []

    def client(last):
        address = f"127.0.1.{last}"
        url = [f"http://localhost:{port}/"] * 20
        said = run("curl", "--silent", "--interface", address, "--write-out", "\n", *url)
        if {line.split()[0] for line in said.splitlines()} != {address}:
            failed.append(said)

    threads = [threading.Thread(target=client, args=(last,)) for last in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def tcp(**more):
    """A tcp listener; nothing of HTTP is looked at between the client and the server."""
    return listener("web", protocol='"tcp"', **more)


def records(process):
    """The lines of the log, once the process has left."""
    process.leave()
    wait_until(lambda: process.process.poll() is not None, "it has left")
    return [json.loads(line) for line in process.access_file.read_text().splitlines()]


def test_curl_sends_to_a_tcp_listener(evenkeel, origin):
    server = origin("h1", forwarded)
    process = evenkeel(tcp(accept_proxy_protocol='"127.0.0.1"') + pool([server]))
    own = ask(process.port(), "--haproxy-protocol", "--write-out", "%{local_port}").split()[-1].strip("-")
    [record] = records(process)
    assert (record["client"], record["client_port"], record["ended"]) == ("127.0.0.1", int(own), "client_closed")


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn proxy-v2-options crc32c"])
def test_haproxy_sends_to_a_tcp_listener(evenkeel, origin, haproxy, options):
    process = evenkeel(tcp(accept_proxy_protocol='"127.0.0.1"') + pool([origin("h1", forwarded)]))
    port = haproxy(
        f"listen relay\n mode tcp\n bind 127.0.0.1:{{port}}\n server a 127.0.0.1:{process.port()} {options}\n"
    )
    # The server gets what the client sent and nothing more: no field is added on the way.
    assert ask(port, "--interface", "127.0.0.5") == "- - -"
    clients = [record["client"] for record in records(process)]
    assert "127.0.0.5" in clients


def test_nginx_sends_to_a_tcp_listener(evenkeel, origin, nginx):
    if not STREAM_MODULE.exists():
        pytest.skip("nginx has no stream module")
    process = evenkeel(tcp(accept_proxy_protocol='"127.0.0.1"') + pool([origin("h1", forwarded)]))
    port = nginx(
        "stream { server { listen 127.0.0.1:{port}; proxy_protocol on; "
        f"proxy_pass 127.0.0.1:{process.port()}; }} }}",
        modules=f"load_module {STREAM_MODULE};",
    )
    assert ask(port, "--interface", "127.0.0.5") == "- - -"
    assert "127.0.0.5" in [record["client"] for record in records(process)]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_receives_from_a_tcp_listener(evenkeel, nginx, version):
    if not STREAM_MODULE.exists():
        pytest.skip("nginx has no stream module")
    server = nginx(
        "stream { server { listen 127.0.0.1:{port} proxy_protocol; "
        "return '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port'; } }",
        modules=f"load_module {STREAM_MODULE};",
    )
    health = '{ kind = "tcp", interval = "100ms" }'
    port = evenkeel(tcp() + pool([server], proxy_protocol=f'"{version}"', health=health)).port()
    with socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.6", 0)) as client:
        said = b""
        while piece := client.recv(4096):
            said += piece
        assert said.decode() == f"127.0.0.6 {client.getsockname()[1]} {port}"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_receives_from_a_tcp_listener(evenkeel, haproxy, authority, version):
    server = haproxy(RECEIVER.replace("{tls}", ""))
    sections = tcp() + listener("secure", tls=authority.localhost.tls, protocol='"tcp"')
    process = evenkeel(sections + pool([server], proxy_protocol=f'"{version}"'))
    port, secure = process.port(), process.port("secure")
    assert ask(port, "--interface", "127.0.0.6").split()[:2] == ["127.0.0.6", str(port)]
    # TLS ends at the listener: version 2 says for which name.
    said = ask(secure, "--interface", "127.0.0.6", "--insecure", scheme="https").split()
    assert said[:2] == ["127.0.0.6", str(secure)]
    assert ("localhost" in said) == (version == "v2")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_client_of_a_proxy_in_front_reaches_the_server_behind(evenkeel, haproxy, version):
    """HAProxy, a tcp listener, HAProxy: the last one sees who asked the first."""
    server = haproxy(RECEIVER.replace("{tls}", ""))
    sections = tcp(accept_proxy_protocol='"127.0.0.1"') + pool([server], proxy_protocol=f'"{version}"')
    process = evenkeel(sections)
    front = haproxy(
        "listen front\n mode tcp\n bind 127.0.0.1:{port}\n"
        f" server a 127.0.0.1:{process.port()} send-proxy-v2\n"
    )
    assert ask(front, "--interface", "127.0.0.7").split()[:2] == ["127.0.0.7", str(front)]
