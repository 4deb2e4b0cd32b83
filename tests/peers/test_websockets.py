"""WebSockets: Python's `websockets` on both sides, over HTTP/1.1 and over HTTP/2 (RFC 8441)."""

import asyncio
import os
import threading

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.protocol import OPEN, Protocol, Side
from websockets.sync.server import serve

from support.evenkeel import listener, pool
from support.http2 import Client
from support.wait import DEADLINE_S, wait_until

MIB = 1 << 20


class Server:
    """An echo server that remembers how its connections ended."""

    def __init__(self):
        self.closed = []
        self.paths = []
        self.headers = []
        self.server = serve(
            self._echo, "127.0.0.1", 0, max_size=4 * MIB, subprotocols=["chat"], compression=None, ping_interval=None
        )
        self.port = self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _echo(self, connection):
        self.paths.append(connection.request.path)
        self.headers.append(connection.request.headers)
        try:
            for message in connection:
                if message == "ping me":
                    assert connection.ping().wait(10)
                    message = "pinged"
                elif message == "close":
                    connection.close(4001, "as asked")
                elif message == "break":
                    connection.socket.shutdown(2)
                connection.send(message)
        except ConnectionClosed:
            pass
        self.closed.append((connection.close_code, connection.close_reason))


class OverHttp2:
    """A client of RFC 8441: the frames of `websockets` in the DATA of a stream of `h2`."""

    def __init__(self, connection, path, subprotocol):
        self.connection = connection
        connection.wait(lambda: connection.settings.enable_connect_protocol, "SETTINGS_ENABLE_CONNECT_PROTOCOL")
        fields = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https" if connection.secure else "http"),
            (":path", path), (":authority", "localhost"), ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", subprotocol),
        ]
        self.stream = connection.stream(fields)
        connection.wait(lambda: self.stream.headers or self.stream.reset is not None, "the response")
        assert self.stream.reset is None, f"reset with {self.stream.reset}"
        assert self.stream.status == 200, self.stream.headers
        self.subprotocol = self.stream.header("sec-websocket-protocol") or None
        self.protocol = Protocol(Side.CLIENT, state=OPEN, max_size=4 * MIB)
        self.taken = 0
        self.pongs = []

    def _flush(self):
        for data in self.protocol.data_to_send():
            # Nothing at all stands for the end.
            self.connection.send(self.stream, data, end=not data)

    def _frames(self):
        """The frames that came since, after at least one byte more or the end."""
        stream = self.stream
        self.connection.wait(
            lambda: len(stream.data) > self.taken or stream.ended or stream.reset is not None, "more frames"
        )
        with self.connection.changed:
            data, self.taken = bytes(stream.data[self.taken:]), len(stream.data)
        if data:
            self.protocol.receive_data(data)
        elif stream.ended or stream.reset is not None:
            self.protocol.receive_eof()
            self._flush()
            raise EOFError
        self._flush()
        return self.protocol.events_received()

    def send(self, message):
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        self._flush()

    def recv(self, timeout=None):
        parts, kind = [], None
        while True:
            for frame in self._frames():
                if frame.opcode is Opcode.PONG:
                    self.pongs.append(frame.data)
                    return None
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    parts.append(bytes(frame.data))
                    kind = frame.opcode if frame.opcode is not Opcode.CONT else kind
                    if frame.fin:
                        whole = b"".join(parts)
                        return whole.decode() if kind is Opcode.TEXT else whole
                if frame.opcode is Opcode.CLOSE:
                    return None

    def ping(self, data):
        self.protocol.send_ping(data)
        self._flush()
        while data not in self.pongs:
            self.recv()

    def close(self, code=1000, reason=""):
        self.protocol.send_close(code, reason)
        self._flush()
        self.wait_for_end()

    def vanish(self):
        self.connection.reset(self.stream)

    def wait_for_end(self):
        try:
            while True:
                self._frames()
        except EOFError:
            pass

    @property
    def close_code(self):
        return self.protocol.close_code


class OverHttp1:
    """The client of `websockets` with the same face. On asyncio: two threads on one TLS socket lose bytes in Python."""

    loop = asyncio.new_event_loop()

    @classmethod
    def run(cls, work):
        if not cls.loop.is_running():
            threading.Thread(target=cls.loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, cls.loop).result(DEADLINE_S)

    def __init__(self, url, context, subprotocol):
        async def open_it():
            return await connect(
                url, ssl=context, max_size=4 * MIB, proxy=None, subprotocols=[subprotocol], compression=None,
                ping_interval=None,
            )

        self.connection = self.run(open_it())
        self.subprotocol = self.connection.subprotocol

    def send(self, message):
        self.run(self.connection.send(message))

    def recv(self, timeout):
        return self.run(asyncio.wait_for(self.connection.recv(), timeout))

    def ping(self, data):
        async def there_and_back():
            await (await self.connection.ping(data))

        self.run(there_and_back())

    def close(self, code=1000, reason=""):
        self.run(self.connection.close(code, reason))

    def vanish(self):
        self.loop.call_soon_threadsafe(self.connection.transport.abort)

    def wait_for_end(self):
        with pytest.raises(ConnectionClosed):
            self.recv(DEADLINE_S)

    @property
    def close_code(self):
        return self.connection.close_code


@pytest.fixture(params=["clear-h1", "tls-h1", "clear-h2", "tls-h2"])
def way(request, evenkeel, authority):
    """Makes WebSockets to the server through Evenkeel, by each way."""
    front, version = request.param.split("-")
    server = Server()
    tls = authority.localhost.tls if front == "tls" else ""
    route = '[[route]]\npath = "/short"\npool = "app"\ntimeout = { idle = "1s" }\n'
    proxy = evenkeel(listener(tls=tls) + pool([server.port]) + route)
    context = authority.client_context(*(["h2"] if version == "h2" else [])) if tls else None
    opened = []

    def start(path="/", subprotocol="chat"):
        if version == "h2":
            if not opened:
                opened.append(Client(proxy.port(), context))
            return OverHttp2(opened[0], path, subprotocol)
        scheme = "wss" if tls else "ws"
        opened.append(OverHttp1(f"{scheme}://localhost:{proxy.port()}{path}", context, subprotocol))
        return opened[-1]

    start.server, start.proxy, start.opened, start.version = server, proxy, opened, version
    yield start
    for connection in opened:
        connection.close()
    server.server.shutdown()


def test_echo(way):
    socket = way("/chat?room=1")
    assert socket.subprotocol == "chat"
    for message in ["hello", "", "äöü", b"\x00\xff"]:
        socket.send(message)
        assert socket.recv(DEADLINE_S) == message
    assert way.server.paths == ["/chat?room=1"]


def test_pings_both_ways(way):
    socket = way()
    socket.ping(b"are you there")
    socket.send("ping me")
    assert socket.recv(DEADLINE_S) == "pinged"


def test_frames_of_a_mib(way):
    socket = way()
    for _ in range(4):
        message = os.urandom(MIB)
        socket.send(message)
        assert socket.recv(DEADLINE_S) == message


def test_a_thousand_small_messages(way):
    socket = way()
    for i in range(1000):
        socket.send(str(i))
        assert socket.recv(DEADLINE_S) == str(i)


def test_the_client_closes(way):
    socket = way()
    socket.send("hello")
    assert socket.recv(DEADLINE_S) == "hello"
    socket.close(4000, "done")
    wait_until(lambda: way.server.closed == [(4000, "done")], "the server hears why")


def test_the_server_closes(way):
    socket = way()
    socket.send("close")
    socket.wait_for_end()
    assert socket.close_code == 4001


def test_a_server_that_breaks_off_ends_the_websocket(way):
    socket = way()
    socket.send("break")
    socket.wait_for_end()


def test_a_client_that_vanishes_ends_the_websocket_at_the_server(way):
    socket = way()
    socket.send("hello")
    assert socket.recv(DEADLINE_S) == "hello"
    socket.vanish()
    wait_until(lambda: way.server.closed, "the server hears of it")


def test_an_idle_websocket_ends_after_the_time_of_its_route(way):
    quick, patient = way("/short"), way("/")
    quick.send("hello")
    assert quick.recv(DEADLINE_S) == "hello"
    quick.wait_for_end()
    patient.send("still here")
    assert patient.recv(DEADLINE_S) == "still here"


def test_many_at_a_time(way):
    sockets = [way(f"/{i}") for i in range(20)]
    for i, socket in enumerate(sockets):
        socket.send(f"message {i}")
    for i, socket in enumerate(sockets):
        assert socket.recv(DEADLINE_S) == f"message {i}"
    if way.version == "h2":
        assert len(way.opened) == 1
