"""nghttp2's h2load: many streams on many connections, without one error."""

import re

import pytest

from support.command import run
from support.evenkeel import listener, pool

ROUTE = '[[route]]\npath = "/own"\nrespond = { body = "own" }\n'


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("path,count", [("/own", 20000), ("/server", 2000)])
def test_sixteen_connections_of_32_streams(evenkeel, origin, authority, scheme, path, count):
    def handler(exchange):
        exchange.head(200, [("content-length", "128")])
        exchange.write(b"a" * 128, end=True)

    tls = authority.localhost.tls if scheme == "https" else ""
    proxy = evenkeel(listener(tls=tls) + ROUTE + pool([origin("h1", handler)]))
    said = run("h2load", "-n", count, "-c", 16, "-m", 32, f"{scheme}://127.0.0.1:{proxy.port()}{path}", seconds=60)
    requests = re.search(r"requests: .*", said).group()
    assert f"{count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout" in requests, said
    assert f"status codes: {count} 2xx" in said
    if scheme == "https":
        assert "Application protocol: h2" in said and "TLSv1.3" in said
