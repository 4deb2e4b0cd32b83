"""Servers behind Evenkeel that speak HTTP/1.1 or HTTP/2 and hand each request to a function."""

import socket
import threading

from support.http1 import Http1Exchange
from support.http2 import Connection
from support.wait import DEADLINE_S


class Http2Exchange:
    """A request and its response over HTTP/2."""

    def __init__(self, connection, stream):
        self.connection, self.stream = connection, stream
        self.fields = [(name, value) for name, value in stream.headers if not name.startswith(":")]
        pseudo = dict(field for field in stream.headers if field[0].startswith(":"))
        self.method, self.path = pseudo[":method"], pseudo[":path"]
        self.authority = pseudo.get(":authority")

    def read(self):
        """The body to its end, and its trailers."""
        stream = self.stream
        self.connection.auto_window = True
        self.connection.acknowledge(stream)
        self.connection.wait(lambda: stream.ended or self.is_cancelled(), "the request ends", 60)
        return bytes(stream.data), stream.trailers or {}

    def wait_for_bytes(self, count):
        """Waits until so much of the body came."""
        self.connection.wait(lambda: len(self.stream.data) >= count, f"{count} bytes of the body")

    def interim(self, status, fields=()):
        """An interim response."""
        self.connection.head(self.stream, [(":status", str(status)), *fields])

    def head(self, status=200, fields=(), end=False):
        """The head of the response; `end` if it has no body."""
        self.connection.head(self.stream, [(":status", str(status)), *fields], end)

    def write(self, data, end=False, seconds=DEADLINE_S):
        """A part of the body."""
        return self.connection.send(self.stream, data, end, seconds)

    def finish(self, trailers=()):
        """The end of the body."""
        if trailers:
            self.connection.head(self.stream, list(trailers), end=True)
        else:
            self.connection.send(self.stream, b"", end=True)

    def abort(self):
        """Breaks the response off."""
        self.connection.reset(self.stream, 2)

    def is_cancelled(self):
        """The other side has given the request up."""
        return self.stream.reset is not None or self.connection.closed

    def wait_for_cancel(self):
        """Waits until the other side gives the request up."""
        self.connection.wait(self.is_cancelled, "the request is cancelled")


class Origin:
    """A server whose `handler(exchange)` is called on a thread per request."""

    def __init__(self, protocol, handler, tls=None, buffer=None, **options):
        self.protocol, self.handler, self.tls, self.options = protocol, handler, tls, options
        self.keys = []
        if protocol != "h1":
            self.keys.append('protocol = "http2"')
        if tls:
            self.keys.append("tls = { insecure_skip_verify = true }")
        self.connections = []
        self.errors = []
        self.listener = socket.socket()
        if buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            if self.protocol == "h1":
                self.connections.append(sock)
                Http1Exchange.serve(sock, self._handle)
            else:
                connection = Connection(sock, client_side=False, on_stream=self._on_stream, **self.options)
                self.connections.append(connection)
        except OSError:
            pass

    def _on_stream(self, connection, stream):
        self._handle(Http2Exchange(connection, stream))

    def _handle(self, exchange):
        try:
            self.handler(exchange)
        except Exception as error:  # The test shows it; the thread would swallow it.
            self.errors.append(error)
            print(f"origin: {type(error).__name__}: {error}")

    def close(self):
        """Ends it and all of its connections."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self.connections:
            connection.close()
