"""A server's side of HTTP/1.1, with just what the tests need: chunks, trailers, interim responses."""

import select
import socket

from support.wait import DEADLINE_S


class Http1Exchange:
    """A request and its response over HTTP/1.1."""

    @staticmethod
    def serve(sock, handler):
        """Hands the requests of a connection to `handler`, one after the other."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(60)
        reader = sock.makefile("rb")
        while line := reader.readline():
            exchange = Http1Exchange(sock, reader, line)
            handler(exchange)
            if not exchange.may_go_on():
                break
        sock.close()

    def __init__(self, sock, reader, line):
        self.sock, self.reader = sock, reader
        self.method, self.path, _ = line.decode().split(" ", 2)
        self.fields = self._fields()
        self.authority = dict(self.fields).get("host")
        self.is_chunked = False
        self.is_whole = False
        self.is_read = False

    def may_go_on(self):
        """Request and response came to their ends."""
        has_body = {name for name, _ in self.fields} & {"content-length", "transfer-encoding"}
        return self.is_whole and (self.is_read or not has_body)

    def _fields(self):
        fields = []
        while (line := self.reader.readline().rstrip(b"\r\n")):
            name, value = line.decode().split(":", 1)
            fields.append((name.lower(), value.strip()))
        return fields

    def read(self):
        """The body to its end, and its trailers."""
        fields, self.is_read = dict(self.fields), True
        if "chunked" in fields.get("transfer-encoding", ""):
            body = bytearray()
            while size := int(self.reader.readline(), 16):
                body += self.reader.read(size)
                self.reader.readline()
            return bytes(body), dict(self._fields())
        return self.reader.read(int(fields.get("content-length", 0))), {}

    def wait_for_bytes(self, count):
        """Waits until so much of the body came, counted with its framing."""
        self.sock.settimeout(DEADLINE_S)
        while len(self.reader.peek(count)) < min(count, 4096):
            pass

    def interim(self, status, fields=()):
        """An interim response."""
        self.sock.sendall(self._head(status, fields))

    @staticmethod
    def _head(status, fields):
        lines = [f"HTTP/1.1 {status} Any", *(f"{name}: {value}" for name, value in fields)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def head(self, status=200, fields=(), end=False):
        """The head of the response; `end` if it has no body."""
        fields = list(fields)
        if not any(name == "content-length" for name, _ in fields) and status not in (204, 304):
            if end:
                fields.append(("content-length", "0"))
            else:
                self.is_chunked = True
                fields.append(("transfer-encoding", "chunked"))
        self.is_whole = end
        self.sock.sendall(self._head(status, fields))

    def write(self, data, end=False, seconds=DEADLINE_S):
        """A part of the body."""
        self.sock.settimeout(seconds)
        if data:
            framed = b"%x\r\n%b\r\n" % (len(data), data) if self.is_chunked else data
            self.sock.sendall(framed)
        if end:
            self.finish()
        return len(data)

    def finish(self, trailers=()):
        """The end of the body."""
        if self.is_chunked:
            lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
            self.sock.sendall(f"0\r\n{lines}\r\n".encode())
        self.is_whole = True

    def abort(self):
        """Breaks the response off."""
        self.sock.shutdown(socket.SHUT_RDWR)

    def is_cancelled(self):
        """The other side has closed."""
        readable, _, _ = select.select([self.sock], [], [], 0)
        try:
            return bool(readable) and not self.sock.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def wait_for_cancel(self):
        """Waits until the other side closes, reading what it sent before."""
        self.sock.settimeout(DEADLINE_S)
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            raise AssertionError("the request was not cancelled") from None
        except OSError:
            pass
