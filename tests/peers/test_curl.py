"""curl in front, with each version of HTTP and of TLS that it knows."""

import hashlib
import subprocess
import threading

import pytest

from support.command import find, run
from support.evenkeel import listener, pool

MIB = 1 << 20
VERSIONS = {
    "http1.1": ("http", ["--http1.1"], "1.1"),
    "http2": ("http", ["--http2-prior-knowledge"], "2"),
    "https1.1": ("https", ["--http1.1"], "1.1"),
    "https2": ("https", ["--http2"], "2"),
    "https2-tls1.2": ("https", ["--http2", "--tls-max", "1.2"], "2"),
    "https1.1-tls1.2": ("https", ["--http1.1", "--tls-max", "1.2"], "1.1"),
}


@pytest.fixture(params=[f"{version}-{back}" for version in VERSIONS for back in ("h1", "h2")])
def curl(request, authority, evenkeel, origin, tmp_path):
    """Runs curl against a server with a handler; for each version in front and at the back."""
    version, back = request.param.rsplit("-", 1)
    scheme, options, spoken = VERSIONS[version]

    def start(handler):
        server = origin(back, handler)
        sections = listener("web") + listener("secure", tls=authority.localhost.tls) + pool([server])
        port = evenkeel(sections).port("secure" if scheme == "https" else "web")

        def call(*arguments, path="/", **more):
            url = f"{scheme}://localhost:{port}{path}"
            common = ["--silent", "--show-error", "--max-time", "30", "--cacert", authority.ca_file, *options]
            return run("curl", *common, *arguments, url, **more)

        call.version, call.options = spoken, [*options, "--cacert", str(authority.ca_file)]
        call.url = f"{scheme}://localhost:{port}/"
        return call

    return start


def echo(exchange):
    body, _ = exchange.read()
    digest = hashlib.sha256(body).hexdigest()
    exchange.head(200, [("x-digest", digest), ("x-bytes", str(len(body)))])
    exchange.write(body, end=True)


def test_version_and_body(curl):
    call = curl(echo)
    assert call("--data", "hello", "--write-out", " %{http_version} %{http_code}") == f"hello {call.version} 200"


def test_ten_mib_both_ways_with_a_length(curl, tmp_path):
    body = bytes(range(256)) * (10 * MIB // 256)
    (tmp_path / "body").write_bytes(body)
    call = curl(echo)
    out = tmp_path / "answer"
    said = call("--upload-file", tmp_path / "body", "--output", out, "--write-out", "%{size_upload} %{http_code}")
    assert said == f"{len(body)} 200"
    assert out.read_bytes() == body


def test_upload_without_a_length(curl, tmp_path):
    body = bytes(range(256)) * (3 * MIB // 256)
    out = tmp_path / "answer"
    call = curl(echo)
    call("--upload-file", "-", "--output", out, stdin=body)
    assert out.read_bytes() == body


def test_head(curl):
    call = curl(lambda exchange: exchange.head(200, [("content-length", "777")], end=True))
    said = call("--head", "--write-out", "%{size_download}")
    assert "content-length: 777" in said.lower() and said.endswith("0")


def test_several_requests_on_a_connection(curl):
    def handler(exchange):
        exchange.head(200)
        exchange.write(exchange.path.encode() + b" ", end=True)

    call = curl(handler)
    if "--http2-prior-knowledge" in call.options and " 7.88" in run("curl", "--version"):
        pytest.skip("curl 7.88 fails at its second request with prior knowledge, whatever the server")
    said = call("--write-out", "%{num_connects} ", path="/[1-4]")
    assert said == "/1 1 /2 0 /3 0 /4 0 "


def test_server_sent_events_are_not_held_back(curl):
    """The server sends each event once curl was seen to have the one before: curl prints them unbuffered."""
    go = threading.Semaphore(1)

    def handler(exchange):
        exchange.head(200, [("content-type", "text/event-stream")])
        for i in range(5):
            assert go.acquire(timeout=10)
            exchange.write(f"data: {i}\n\n".encode())
        exchange.finish()

    call = curl(handler)
    arguments = ["--silent", "--no-buffer", "--max-time", "20", *call.options, call.url]
    process = subprocess.Popen([find("curl"), *arguments], stdout=subprocess.PIPE)
    try:
        for i in range(5):
            assert process.stdout.readline() == f"data: {i}\n".encode()
            assert process.stdout.readline() == b"\n"
            go.release()
        assert process.stdout.read() == b""
        assert process.wait(10) == 0
    finally:
        process.kill()
