"""gRPC: grpcio on both sides of Evenkeel, in clear and over TLS."""

import queue

import grpc
import pytest

from support.evenkeel import listener, pool
from support.rpc import RpcClient, RpcServer
from support.wait import DEADLINE_S, wait_until

MIB = 1 << 20
T = DEADLINE_S


class Way:
    """Servers, Evenkeel and a client."""

    def __init__(self, front, evenkeel, authority):
        self.front, self.evenkeel, self.authority = front, evenkeel, authority
        self.opened = []

    def serve(self, name="one", **options):
        credentials = None
        if self.front == "tls":
            pair = (self.authority.localhost.key.read_bytes(), self.authority.localhost.cert.read_bytes())
            credentials = grpc.ssl_server_credentials([pair])
        server = RpcServer(name, credentials=credentials, **options)
        self.opened.append(server)
        return server

    def proxy(self, servers, more="", **keys):
        keys["protocol"] = '"http2"'
        if self.front == "tls":
            keys["tls"] = self.authority.pool_keys
        tls = self.authority.localhost.tls if self.front == "tls" else ""
        return self.evenkeel(listener(tls=tls) + pool([server.port for server in servers], **keys) + more)

    def client(self, proxy, **options):
        ca = self.authority.ca_file if self.front == "tls" else None
        client = RpcClient(proxy.port(), ca, **options)
        self.opened.insert(0, client)
        return client

    def one(self, **options):
        server = self.serve(**options)
        return server, self.client(self.proxy([server]))


@pytest.fixture(params=["clear", "tls"])
def way(request, evenkeel, authority):
    way = Way(request.param, evenkeel, authority)
    yield way
    for end in way.opened:
        end.close()


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_every_status_passes_through_with_message_and_trailers(way, code):
    _, client = way.one()
    details = f"because: 100% of “{code.name}”"
    message = f"{code.value[0]} {details}".encode()
    if code is grpc.StatusCode.OK:
        answer, call = client.status.with_call(message, timeout=T)
        assert answer == b"fine"
    else:
        with pytest.raises(grpc.RpcError) as raised:
            client.status(message, timeout=T)
        call = raised.value
        assert (call.code(), call.details()) == (code, details)
    assert dict(call.trailing_metadata())["why-bin"] == b"\x00\xff"


def test_unary_with_metadata_of_text_and_bytes(way):
    server, client = way.one()
    sent = [("word", "a b"), ("twice", "1"), ("twice", "2"), ("raw-bin", bytes(range(256)))]
    answer, call = client.unary.with_call(b"\x00hello\xff", metadata=sent, timeout=T)
    assert answer == b"\x00hello\xff"
    got = [(key, value) for key, value in server.metadata[0] if key in ("word", "twice", "raw-bin")]
    # Values of one name may be joined, unless they are bytes.
    assert sorted(got) == sorted(sent)
    assert dict(call.initial_metadata())["raw-bin"] == bytes(range(256))
    assert dict(call.initial_metadata())["served-by"] == "one"
    assert dict(call.trailing_metadata()) == {"after": "word", "after-bin": b"\x00\xfe\xff"}


def test_an_empty_message(way):
    _, client = way.one()
    assert client.unary(b"", timeout=T) == b""


def test_a_method_that_the_server_lacks(way):
    """An answer of trailers only, from the server."""
    _, client = way.one()
    with pytest.raises(grpc.RpcError) as raised:
        client.missing(b"", timeout=T)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_server_stream(way):
    _, client = way.one()
    assert [int(message) for message in client.stream(b"1000", timeout=T)] == list(range(1000))


def test_an_empty_server_stream(way):
    _, client = way.one()
    assert list(client.stream(b"0", timeout=T)) == []


def test_client_stream(way):
    _, client = way.one()
    assert client.collect((b"%d" % i for i in range(1000)), timeout=T) == b"%d" % sum(range(1000))


def test_bidirectional_stream_in_bulk(way):
    _, client = way.one()
    answers = list(client.chat((b"%d" % i for i in range(1000)), timeout=T))
    assert answers == [b"re: %d" % i for i in range(1000)]


def test_bidirectional_stream_one_by_one(way):
    """Each message is answered before the next is sent: nothing is held back."""
    _, client = way.one()
    requests = queue.SimpleQueue()
    answers = client.chat(iter(requests.get, None), timeout=T)
    for i in range(1000):
        requests.put(b"%d" % i)
        assert next(answers) == b"re: %d" % i
    requests.put(None)
    assert list(answers) == []
    assert answers.code() is grpc.StatusCode.OK


def test_messages_of_four_mib_both_ways(way):
    _, client = way.one()
    message = bytes(range(256)) * (4 * MIB // 256)
    assert client.unary(message, timeout=T) == message


def test_a_deadline_ends_the_call_at_the_server_too(way):
    server, client = way.one()
    with pytest.raises(grpc.RpcError) as raised:
        client.hang(b"", timeout=0.5)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.cancelled.wait(10)
    # The server was told how long it had.
    assert 0 < server.remaining[0] <= 0.5


def test_cancelling_a_call_reaches_the_server(way):
    server, client = way.one()
    call = client.hang.future(b"", timeout=T)
    assert server.started.wait(10)
    call.cancel()
    assert server.cancelled.wait(10)
    assert client.unary(b"next", timeout=T) == b"next"


def test_cancelling_a_stream_reaches_the_server(way):
    server, client = way.one()
    call = client.hang_stream(b"", timeout=T)
    assert next(call) == b"first"
    assert server.started.wait(10)
    call.cancel()
    assert server.cancelled.wait(10)
    assert client.unary(b"next", timeout=T) == b"next"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_pass_through(way, compression):
    server = way.serve(options=[("grpc.default_compression_algorithm", compression.value)])
    client = way.client(way.proxy([server]))
    message = b"abc" * 10_000
    answer, call = client.unary.with_call(message, compression=compression, timeout=T)
    assert answer == message


def test_calls_of_one_connection_are_spread_evenly(way):
    servers = [way.serve(name) for name in ("a", "b", "c")]
    client = way.client(way.proxy(servers))
    for _ in range(90):
        client.unary(b"", timeout=T)
    assert [server.calls for server in servers] == [30, 30, 30]


def test_calls_at_the_same_time_are_spread_evenly(way):
    servers = [way.serve(name) for name in ("a", "b", "c")]
    client = way.client(way.proxy(servers))
    calls = [client.unary.future(b"%d" % i, timeout=T) for i in range(300)]
    assert [call.result() for call in calls] == [b"%d" % i for i in range(300)]
    assert [server.calls for server in servers] == [100, 100, 100]


def test_pings_of_clients_are_answered(way):
    """A client that pings each 100 ms, even without data, and gives up after 500 ms without an answer."""
    server = way.serve()
    keepalive = [
        ("grpc.keepalive_time_ms", 100),
        ("grpc.keepalive_timeout_ms", 500),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    client = way.client(way.proxy([server]), options=keepalive)
    with pytest.raises(grpc.RpcError) as raised:
        client.hang(b"", timeout=2)
    # Not UNAVAILABLE, which is what a lost connection is.
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert client.unary(b"alive", timeout=T) == b"alive"


def test_a_server_that_leaves_in_peace_fails_no_call(way):
    """grpcio stops with GOAWAY and finishes what it has."""
    servers = [way.serve(name) for name in ("a", "b")]
    client = way.client(way.proxy(servers, outlier='{ failures = 1, window = "30s", eject = "30s" }'))
    for _ in range(10):
        client.unary(b"", timeout=T)
    servers[0].server.stop(5)
    for _ in range(50):
        assert client.unary(b"x", timeout=T) == b"x"


# What Evenkeel itself says to clients of gRPC.


def failed(client, call="unary"):
    """The error of a call, which must not be one that the client made of a status of HTTP."""
    with pytest.raises(grpc.RpcError) as raised:
        getattr(client, call)(b"", timeout=T)
    assert "status: " not in raised.value.details()
    return raised.value


def test_own_no_route_is_unimplemented(way):
    tls = way.authority.localhost.tls if way.front == "tls" else ""
    client = way.client(way.evenkeel(listener(tls=tls, pool=None) + pool([9])))
    assert failed(client).code() is grpc.StatusCode.UNIMPLEMENTED


def test_own_no_server_is_unavailable(way):
    server = way.serve()
    proxy = way.proxy([server])
    client = way.client(proxy)
    server.close()
    assert failed(client).code() is grpc.StatusCode.UNAVAILABLE


def test_own_no_healthy_server_is_unavailable(way):
    server = way.serve()
    proxy = way.proxy([server], health='{ kind = "tcp", interval = "50ms", fall = 1 }')
    server.close()
    wait_until(lambda: "down" in proxy.messages(), "the server is known to be down")
    assert failed(way.client(proxy)).code() is grpc.StatusCode.UNAVAILABLE


def test_own_timeout_of_the_route_is_deadline_exceeded(way):
    server = way.serve()
    more = '[[route]]\npath = "/*"\npool = "app"\ntimeout = { request = "300ms" }\n'
    client = way.client(way.proxy([server], more))
    assert failed(client, call="hang").code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.cancelled.wait(10)


def test_own_timeout_of_the_server_is_deadline_exceeded(way):
    server = way.serve()
    client = way.client(way.proxy([server], timeout='{ response = "300ms" }'))
    assert failed(client, call="hang").code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_own_answers_of_routes_stay_as_configured(way):
    """A route that denies is configured with a status of HTTP; the client maps it (gRPC over HTTP/2, statuses)."""
    server = way.serve()
    more = '[[route]]\npath = "/*"\nrespond = { status = 403, body = "no" }\n'
    client = way.client(way.proxy([server], more))
    with pytest.raises(grpc.RpcError) as raised:
        client.unary(b"", timeout=T)
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


# Probes by the health protocol of gRPC.


class Health:
    """grpc.health.v1, without protobuf: field 1 of the request is the service, field 1 of the answer the status."""

    SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"

    def __init__(self, server):
        self.status, self.asked = self.SERVING, []
        check = grpc.unary_unary_rpc_method_handler(self._check)
        server.server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})]
        )

    def _check(self, request, context):
        self.asked.append(request)
        if self.status is None:
            context.abort(grpc.StatusCode.UNKNOWN, "no idea")
        return self.status


@pytest.mark.parametrize("bad", [Health.NOT_SERVING, None], ids=["not serving", "an error"])
def test_health_by_the_protocol_of_grpc(way, bad):
    servers = [way.serve(name) for name in ("a", "b")]
    healths = [Health(server) for server in servers]
    probes = '{ kind = "grpc", interval = "50ms", fall = 2, rise = 1 }'
    client = way.client(way.proxy(servers, health=probes))
    wait_until(lambda: all(health.asked for health in healths), "both are asked")

    def served_by():
        _, call = client.unary.with_call(b"", timeout=T)
        return dict(call.initial_metadata())["served-by"]

    wait_until(lambda: {served_by() for _ in range(6)} == {"a", "b"}, "both serve")
    healths[0].status = bad
    wait_until(lambda: {served_by() for _ in range(6)} == {"b"}, "the sick one is left out")
    healths[0].status = Health.SERVING
    wait_until(lambda: {served_by() for _ in range(6)} == {"a", "b"}, "it is back")
