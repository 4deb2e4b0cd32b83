"""Servers that speak HTTP/2 with Evenkeel, and what they may do to a connection, against Python's `h2`."""

import threading

import pytest

from support.evenkeel import listener, pool
from support.http2 import Client, ErrorCodes, SettingCodes


@pytest.fixture(params=["h2", "h2s"])
def through(request, evenkeel, origin):
    """Starts a server with a handler and one worker in front; yields a client in clear."""
    clients = []

    def start(handler, **options):
        server = origin(request.param, handler, **options)
        proxy = evenkeel(listener() + pool([server]), workers=1)
        client = Client(proxy.port())
        clients.append(client)
        client.server, client.proxy = server, proxy
        return client

    yield start
    for client in clients:
        client.close()


def test_requests_share_a_connection_with_room(through):
    everybody = threading.Barrier(40)

    def handler(exchange):
        everybody.wait(10)
        exchange.head(200, end=True)

    client = through(handler)
    for stream in [client.request(f"/{i}") for i in range(40)]:
        assert client.finish(stream).status == 200
    assert len(client.server.connections) == 1


def test_more_connections_when_all_streams_of_one_are_busy(through):
    everybody = threading.Barrier(45)

    def handler(exchange):
        everybody.wait(10)
        exchange.head(200, end=True)

    client = through(handler, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 10})
    streams = [client.request(f"/{i}") for i in range(45)]
    for stream in streams:
        assert client.finish(stream).status == 200
    assert len(client.server.connections) >= 5


def test_streams_beyond_the_maximum_of_a_strict_server(through):
    """It refuses what it did not offer, even if that was sent before anybody could know."""
    lock, busy = threading.Lock(), {}
    everybody = threading.Barrier(45)

    def handler(exchange):
        with lock:
            count = busy.get(exchange.connection, 0) + 1
            busy[exchange.connection] = min(count, 10)
        if count > 10:
            exchange.connection.reset(exchange.stream, ErrorCodes.REFUSED_STREAM)
            return
        everybody.wait(10)
        exchange.head(200, end=True)

    client = through(handler, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 10})
    for stream in [client.request(f"/{i}") for i in range(45)]:
        assert client.finish(stream).status == 200


def test_a_refused_stream_is_asked_for_again(through):
    tries = []

    def handler(exchange):
        tries.append(exchange.path)
        if len(tries) == 1:
            exchange.connection.reset(exchange.stream, ErrorCodes.REFUSED_STREAM)
            return
        exchange.read()
        exchange.head(200, end=True)

    client = through(handler)
    stream = client.request(method="POST", fields=[("content-length", "0")])
    assert client.finish(stream).status == 200
    assert len(tries) == 2


def test_requests_that_a_goaway_leaves_out_are_sent_on_a_new_connection(through):
    connections = []

    def handler(exchange):
        connections.append(exchange.connection)
        if len(connections) == 1:
            exchange.connection.go_away(0)
            return
        exchange.read()
        exchange.head(200)
        exchange.write(b"second", end=True)

    client = through(handler)
    stream = client.request(method="POST", fields=[("content-length", "0")])
    assert client.finish(stream).status == 200
    assert stream.data == b"second"
    assert connections[0] is not connections[1]


def test_requests_under_way_outlive_a_goaway(through):
    connections = {}
    go, gone = threading.Event(), threading.Event()

    def handler(exchange):
        connections[exchange.path] = exchange.connection
        if exchange.path == "/late":
            exchange.head(200, end=True)
            return
        exchange.head(200)
        exchange.write(b"first ")
        exchange.connection.go_away(exchange.stream.id)
        gone.set()
        go.wait(10)
        exchange.write(b"last", end=True)

    client = through(handler)
    stream = client.request("/early")
    client.wait(lambda: stream.data, "the first bytes")
    assert gone.wait(10)
    for _ in range(5):
        assert client.get("/late").status == 200
    assert connections["/late"] is not connections["/early"]
    go.set()
    assert client.finish(stream).data == b"first last"


def test_no_request_fails_while_connections_retire(through):
    """A server that sends GOAWAY after each tenth request, as servers with a maximum age do."""
    def handler(exchange):
        exchange.read()
        if exchange.stream.id >= 19:
            exchange.connection.go_away(exchange.stream.id)
        exchange.head(200)
        exchange.write(b"ok", end=True)

    client = through(handler)
    for _ in range(20):
        streams = [client.request(f"/{i}") for i in range(5)]
        for stream in streams:
            assert client.finish(stream).data == b"ok"
    assert len(client.server.connections) > 3


@pytest.mark.parametrize("code", [ErrorCodes.INTERNAL_ERROR, ErrorCodes.CANCEL, ErrorCodes.ENHANCE_YOUR_CALM])
def test_a_reset_within_a_response_reaches_its_client_alone(through, code):
    go = threading.Event()

    def handler(exchange):
        exchange.head(200)
        exchange.write(b"first")
        go.wait(10)
        if exchange.path == "/bad":
            exchange.connection.reset(exchange.stream, code)
        else:
            exchange.finish()

    client = through(handler)
    good, bad = client.request("/good"), client.request("/bad")
    for stream in (good, bad):
        client.wait(lambda: stream.data, "the first bytes")
    go.set()
    assert client.finish(bad).reset is not None
    assert client.finish(good).data == b"first" and good.ended
    assert len(client.server.connections) == 1


def test_a_server_that_has_read_enough_may_reset_without_an_error(through):
    """RFC 9113, 8.1: a whole response, then RST_STREAM with NO_ERROR, before the end of the request."""
    def handler(exchange):
        exchange.head(413, [("content-length", "5")])
        exchange.write(b"large", end=True)
        exchange.connection.reset(exchange.stream, ErrorCodes.NO_ERROR)

    client = through(handler)
    stream = client.request(method="POST", end=False)
    client.send(stream, b"a" * 1000)
    client.wait(lambda: stream.ended, "the whole response")
    assert (stream.status, stream.data) == (413, b"large")


def test_a_connection_that_closes_takes_its_requests_along_and_no_others(through):
    go = threading.Event()

    def handler(exchange):
        if exchange.path == "/good":
            exchange.head(200, end=True)
            return
        exchange.head(200)
        exchange.write(b"first")
        go.wait(10)
        exchange.connection.close()

    client = through(handler)
    streams = [client.request(f"/bad{i}") for i in range(3)]
    for stream in streams:
        client.wait(lambda: stream.data, "the first bytes")
    go.set()
    for stream in streams:
        assert client.finish(stream).reset is not None
    assert client.get("/good").status == 200


def test_a_server_with_small_frames_and_windows(through):
    def handler(exchange):
        body, _ = exchange.read()
        exchange.head(200)
        exchange.write(body, end=True)

    client = through(handler, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    body = bytes(range(256)) * 1000
    stream = client.request(method="POST", end=False)
    client.send(stream, body, end=True)
    assert client.finish(stream).data == body


def test_a_server_that_changes_its_window_amid_a_request(through):
    def handler(exchange):
        exchange.wait_for_bytes(1000)
        with exchange.connection.changed:
            exchange.connection.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100_000})
        exchange.connection.flush()
        body, _ = exchange.read()
        exchange.head(200)
        exchange.write(str(len(body)).encode(), end=True)

    client = through(handler, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    stream = client.request(method="POST", end=False)
    client.send(stream, b"a" * 500_000, end=True)
    assert client.finish(stream).data == b"500000"


def test_a_server_that_takes_no_table_of_fields(through):
    """SETTINGS_HEADER_TABLE_SIZE 0: nothing may be indexed dynamically."""
    def handler(exchange):
        exchange.head(200, [("x-back", dict(exchange.fields)["x-own"])], end=True)

    client = through(handler, settings={SettingCodes.HEADER_TABLE_SIZE: 0})
    for i in range(20):
        assert client.get(fields=[("x-own", f"value {i % 3}")]).header("x-back") == f"value {i % 3}"
