"""HTTP/2 from clients, against Python's `h2`: in clear and over TLS, to servers of both versions."""

import hashlib
import threading

import pytest

from support.evenkeel import listener, pool
from support.http2 import Client, ErrorCodes, SettingCodes
from support.wait import wait_until, wait_until_still

MIB = 1 << 20


@pytest.fixture(params=["clear-h1", "clear-h2", "tls-h1", "tls-h2", "tls-h2s"])
def through(request, authority, evenkeel, origin):
    """Starts a server with a handler and Evenkeel in front, and yields what makes clients; for each way through."""
    front, back = request.param.split("-")
    clients = []

    def start(handler, more="", pool_keys=None, **options):
        server = origin(back, handler, **options)
        tls = authority.localhost.tls if front == "tls" else ""
        proxy = evenkeel(listener(tls=tls) + pool([server], **(pool_keys or {})) + more)

        def client(**options):
            context = authority.client_context("h2") if front == "tls" else None
            clients.append(Client(proxy.port(), context, **options))
            return clients[-1]

        client.server, client.proxy, client.back = server, proxy, back
        return client

    yield start
    for client in clients:
        client.close()


def pattern(size):
    """Bytes that no shift or repetition of a piece leaves as they are."""
    block = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(256))
    return (block * (size // len(block) + 1))[:size]


def echo(exchange):
    body, trailers = exchange.read()
    exchange.head(200, [("content-length", str(len(body)))])
    exchange.write(body, end=True)


def test_streams_are_served_at_the_same_time(through):
    """In rounds: no response goes on before the client has this round's piece of each."""
    everybody = threading.Barrier(21)

    def handler(exchange):
        exchange.head(200)
        for part in range(5):
            everybody.wait(10)
            exchange.write(f"{exchange.path} {part}\n".encode())
        exchange.finish()

    client = through(handler)()
    streams = [client.request(f"/{i}") for i in range(20)]
    expected = [""] * 20
    for part in range(5):
        everybody.wait(10)
        for i, stream in enumerate(streams):
            expected[i] += f"/{i} {part}\n"
            client.wait(lambda: len(stream.data) == len(expected[i]), "this round's piece")
            assert stream.data.decode() == expected[i]
    for stream in streams:
        assert client.finish(stream).status == 200 and stream.ended


def test_a_request_body_larger_than_all_windows(through):
    body = pattern(8 * MIB)

    def handler(exchange):
        got, _ = exchange.read()
        exchange.head(200)
        exchange.write(hashlib.sha256(got).hexdigest().encode(), end=True)

    client = through(handler)()
    stream = client.request(method="POST", end=False)
    client.send(stream, body, end=True, seconds=30)
    assert client.finish(stream).data.decode() == hashlib.sha256(body).hexdigest()


def test_a_response_body_larger_than_all_windows(through):
    body = pattern(8 * MIB)

    def handler(exchange):
        exchange.head(200)
        exchange.write(body, end=True)

    client = through(handler)()
    stream = client.get()
    assert hashlib.sha256(stream.data).digest() == hashlib.sha256(body).digest()


def test_a_server_that_does_not_read_stops_the_client(through):
    reads = threading.Event()
    body = pattern(48 * MIB)

    def handler(exchange):
        if exchange.path == "/other":
            exchange.head(204, end=True)
            return
        reads.wait(30)
        got, _ = exchange.read()
        exchange.head(200)
        exchange.write(hashlib.sha256(got).hexdigest().encode(), end=True)

    client = through(handler, auto_window=False, buffer=65536)()
    stream = client.request(method="POST", end=False)
    sending = threading.Thread(target=client.send, args=(stream, body, True, 60))
    sending.start()
    window = lambda: client.h2.local_flow_control_window(stream.id)
    wait_until(lambda: window() == 0, "the client's window is used up")
    wait_until_still(lambda: client.h2.outbound_flow_control_window)
    wait_until_still(window)
    assert window() == 0
    # What waits in between does not hold up other requests of the connection.
    assert client.get("/other").status == 204
    reads.set()
    client.finish(stream, 60)
    sending.join()
    assert stream.data.decode() == hashlib.sha256(body).hexdigest()


def test_a_client_that_does_not_read_stops_the_server(through):
    body = pattern(48 * MIB)
    written = []

    def handler(exchange):
        exchange.head(200)
        if exchange.path == "/other":
            exchange.write(b"other", end=True)
            return
        for start in range(0, len(body), 65536):
            exchange.write(body[start:start + 65536], seconds=60)
            written.append(start)
        exchange.finish()

    client = through(handler)(auto_window=False, window=64 * MIB)
    stream = client.request()
    client.wait(lambda: len(stream.data) == 65535, "the first window")
    got = wait_until_still(lambda: len(written)) * 65536
    assert len(stream.data) == 65535, "no more than the window"
    assert got < 40 * MIB, "the server was stopped"
    other = client.get("/other")
    assert other.data == b"other"
    while not stream.ended and stream.reset is None:
        client.acknowledge(stream)
        client.wait(lambda: stream.owed or stream.ended or stream.reset is not None, "more of the body")
    assert hashlib.sha256(stream.data).digest() == hashlib.sha256(body).digest()


def test_trailers_of_a_request(through):
    def handler(exchange):
        body, trailers = exchange.read()
        exchange.head(200)
        exchange.write(f"{body.decode()} {trailers}".encode(), end=True)

    client = through(handler)()
    stream = client.request(method="POST", fields=[("te", "trailers"), ("trailer", "x-sum")], end=False)
    client.send(stream, b"body")
    client.head(stream, [("x-sum", "42")], end=True)
    assert client.finish(stream).data == b"body {'x-sum': '42'}"


def test_trailers_of_a_response(through):
    def handler(exchange):
        exchange.head(200, [("trailer", "x-sum")])
        exchange.write(b"body")
        exchange.finish([("x-sum", "42"), ("x-more", "a b")])

    stream = through(handler)().get(fields=[("te", "trailers")])
    assert stream.data == b"body"
    assert stream.trailers == {"x-sum": "42", "x-more": "a b"}


def test_early_hints_come_before_the_response(through):
    hinted = threading.Event()

    def handler(exchange):
        exchange.interim(103, [("link", "</a.css>; rel=preload")])
        exchange.interim(103, [("link", "</b.css>; rel=preload")])
        hinted.wait(10)
        exchange.head(200)
        exchange.write(b"page", end=True)

    client = through(handler)()
    stream = client.request()
    client.wait(lambda: len(stream.interim) == 2, "two interim responses")
    assert stream.headers is None
    hinted.set()
    assert client.finish(stream).data == b"page"
    assert [hint["link"] for hint in stream.interim] == ["</a.css>; rel=preload", "</b.css>; rel=preload"]
    assert {hint[":status"] for hint in stream.interim} == {"103"}


def test_a_client_that_expects_100_gets_it_before_it_sends(through):
    def handler(exchange):
        if dict(exchange.fields).get("expect") == "100-continue":
            exchange.interim(100)
        body, _ = exchange.read()
        exchange.head(200)
        exchange.write(body, end=True)

    client = through(handler)()
    stream = client.request(
        method="PUT", fields=[("expect", "100-continue"), ("content-length", "4")], end=False
    )
    client.wait(lambda: stream.interim, "100")
    assert stream.interim[0][":status"] == "100"
    client.send(stream, b"body", end=True)
    assert client.finish(stream).data == b"body"


def test_a_server_that_refuses_what_was_expected(through):
    def handler(exchange):
        exchange.head(417, end=True)

    client = through(handler)()
    fields = [("expect", "100-continue"), ("content-length", "4")]
    stream = client.request(method="PUT", fields=fields, end=False)
    client.wait(lambda: stream.headers, "a response")
    assert stream.status == 417


@pytest.mark.parametrize("moment", ["before the head", "within the response", "within the request"])
def test_a_client_that_resets_ends_the_request_at_the_server(through, moment):
    seen, cancelled = threading.Event(), threading.Event()

    def handler(exchange):
        if exchange.path == "/other":
            exchange.head(200)
            exchange.write(b"other", end=True)
            return
        if moment == "within the request":
            exchange.wait_for_bytes(1000)
        if moment == "within the response":
            exchange.head(200)
            exchange.write(b"first")
        seen.set()
        exchange.wait_for_cancel()
        cancelled.set()

    client = through(handler)()
    uploads = moment == "within the request"
    stream = client.request(method="POST" if uploads else "GET", end=not uploads)
    if uploads:
        client.send(stream, b"a" * 1000)
    wait_until(seen.is_set, "the server has it")
    if moment == "within the response":
        client.wait(lambda: stream.data, "the first bytes")
    client.reset(stream)
    assert cancelled.wait(10), "the server hears of it"
    assert client.get("/other").data == b"other", "the connection goes on"


def test_a_client_that_closes_ends_its_requests_at_the_server(through):
    arrived, cancelled = threading.Semaphore(0), threading.Semaphore(0)

    def handler(exchange):
        arrived.release()
        exchange.wait_for_cancel()
        cancelled.release()

    client = through(handler)()
    for i in range(3):
        client.request(f"/{i}")
    for _ in range(3):
        assert arrived.acquire(timeout=10)
    client.close()
    for _ in range(3):
        assert cancelled.acquire(timeout=10)


def test_a_server_that_breaks_off_before_the_head_is_a_502(through):
    stream = through(lambda exchange: exchange.abort())().get()
    assert stream.status == 502


def test_a_server_that_breaks_off_within_the_body_is_a_reset(through):
    go = threading.Event()

    def handler(exchange):
        if exchange.path == "/other":
            exchange.head(200)
            exchange.write(b"other", end=True)
            return
        exchange.head(200)
        exchange.write(b"first")
        go.wait(10)
        exchange.abort()

    client = through(handler)()
    stream = client.request()
    client.wait(lambda: stream.data == b"first", "the first bytes")
    go.set()
    client.finish(stream)
    assert not stream.ended and stream.reset not in (None, ErrorCodes.NO_ERROR)
    assert client.get("/other").data == b"other", "the connection goes on"


def test_a_response_before_the_end_of_the_request(through):
    def handler(exchange):
        exchange.wait_for_bytes(10)
        exchange.head(403, [("content-length", "2")])
        exchange.write(b"no", end=True)

    client = through(handler)()
    stream = client.request(method="POST", end=False)
    client.send(stream, b"a" * 10)
    client.wait(lambda: stream.ended, "the whole response")
    assert (stream.status, stream.data) == (403, b"no")


def test_head_keeps_the_length_and_has_no_body(through):
    def handler(exchange):
        assert exchange.method == "HEAD"
        exchange.head(200, [("content-length", "12345")], end=True)

    client = through(handler)()
    for _ in range(2):
        stream = client.get(method="HEAD")
        assert (stream.status, stream.header("content-length"), stream.data) == (200, "12345", b"")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(through, status):
    stream = through(lambda exchange: exchange.head(status, end=True))().get()
    assert (stream.status, stream.data) == (status, b"")


def test_large_fields_both_ways(through):
    def handler(exchange):
        sent = [value for name, value in exchange.fields if name.startswith("x-large")]
        exchange.head(200, [(f"x-back-{i}", value) for i, value in enumerate(sent)], end=True)

    fields = [(f"x-large-{i}", chr(97 + i) * 600) for i in range(20)] + [("x-large", "z" * 12000)]
    client = through(handler)()
    stream = client.get(fields=fields)
    assert [value for name, value in stream.headers if name.startswith("x-back-")] == [v for _, v in fields]


def test_fields_beyond_the_limit_are_refused_and_the_connection_lives(through):
    client = through(lambda exchange: exchange.head(200, end=True), more='[limits]\nrequest_head = "8KiB"\n')()
    stream = client.finish(client.request(fields=[("x-large", "a" * 9000)]))
    assert stream.headers and stream.status == 431, f"reset {stream.reset}, closed {client.closed}"
    assert client.get().status == 200


def test_crumbs_of_cookies_are_one_field_and_set_cookies_stay_apart(through):
    seen = []

    def handler(exchange):
        seen.append([value for name, value in exchange.fields if name == "cookie"])
        exchange.head(200, [("set-cookie", "a=1"), ("set-cookie", "b=2")], end=True)

    start = through(handler)
    client = start()
    stream = client.get(fields=[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3; d=4")])
    assert [value for name, value in stream.headers if name == "set-cookie"] == ["a=1", "b=2"]
    # A server of HTTP/2 may get them in crumbs again (RFC 9113, 8.2.3).
    assert "; ".join(seen[0]) == "a=1; b=2; c=3; d=4"
    if start.back == "h1":
        assert len(seen[0]) == 1


def test_what_a_server_learns_of_the_request(through):
    seen = []

    def handler(exchange):
        seen.append((exchange.method, exchange.path, exchange.authority, dict(exchange.fields)))
        exchange.head(200, end=True)

    client = through(handler)()
    client.get("/a/b?c=d%20e", method="DELETE", authority="localhost", fields=[("x-own", "1")])
    method, path, authority, fields = seen[0]
    assert (method, path, authority) == ("DELETE", "/a/b?c=d%20e", "localhost")
    assert fields["x-own"] == "1"
    assert fields["x-forwarded-proto"] == ("https" if client.secure else "http")
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["via"].startswith("2")
    assert fields["x-request-id"]


def test_leaving_finishes_what_is_in_flight(through):
    go = threading.Event()

    def handler(exchange):
        exchange.head(200)
        exchange.write(b"first ")
        go.wait(10)
        exchange.write(b"last", end=True)

    client = through(handler)
    busy, idle = client(), client()
    streams = [busy.request(f"/{i}") for i in range(3)]
    for stream in streams:
        busy.wait(lambda: stream.data, "the first bytes")
    client.proxy.leave()
    for connection in (busy, idle):
        connection.wait(lambda: connection.goaway, "GOAWAY")
        assert connection.goaway[0] == ErrorCodes.NO_ERROR
    idle.wait(lambda: idle.closed, "the idle connection closes")
    go.set()
    for stream in streams:
        assert busy.finish(stream).data == b"first last"
    assert client.proxy.process.wait(10) == 0


def test_streams_beyond_the_maximum_are_refused_and_the_others_live(through):
    go = threading.Event()

    def handler(exchange):
        go.wait(20)
        exchange.head(200)
        exchange.write(b"ok", end=True)

    client = through(handler)()
    maximum = client.settings.max_concurrent_streams
    assert 16 <= maximum <= 1000
    client.h2.remote_settings._settings[SettingCodes.MAX_CONCURRENT_STREAMS].appendleft(maximum + 10)
    streams = [client.request(f"/{i}") for i in range(maximum + 3)]
    for stream in streams[maximum:]:
        client.finish(stream)
        assert stream.reset == ErrorCodes.REFUSED_STREAM
    go.set()
    for stream in streams[:maximum]:
        assert client.finish(stream).data == b"ok"


def test_a_ping_is_answered_while_a_request_waits(through):
    go = threading.Event()

    def handler(exchange):
        go.wait(10)
        exchange.head(200, end=True)

    client = through(handler)()
    stream = client.request()
    with client.changed:
        client.h2.ping(b"12345678")
    client.flush()
    client.wait(lambda: client.pings, "an answer to the ping")
    go.set()
    assert client.finish(stream).status == 200


def test_many_requests_one_after_the_other(through):
    client = through(echo)()
    for i in range(300):
        stream = client.request(method="POST", end=False)
        client.send(stream, f"{i}".encode(), end=True)
        assert client.finish(stream).data == f"{i}".encode()
