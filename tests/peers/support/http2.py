"""An HTTP/2 connection on Python's `h2`, the client's end or the server's, which any thread may use."""

import select
import socket
import ssl
import threading

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2 import events
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame, SettingsFrame

from support.wait import DEADLINE_S

CHUNK = 64 * 1024


class Stream:
    """One stream, as far as the other side has come with it."""

    def __init__(self, stream_id):
        self.id = stream_id
        self.interim = []
        self.headers = None
        self.data = bytearray()
        self.trailers = None
        self.ended = False
        self.reset = None
        # Bytes that came and whose window was not given back.
        self.owed = 0

    def header(self, name):
        """The values of a field, joined."""
        return ", ".join(value for key, value in self.headers if key == name)

    @property
    def status(self):
        """Of the final response."""
        return int(self.header(":status"))


class Connection:
    """Reads and writes on a thread of its own; state is looked at and changed under `changed`."""

    def __init__(self, sock, client_side, settings=None, auto_window=True, on_stream=None, window=None):
        self.h2 = H2Connection(H2Configuration(client_side=client_side, header_encoding="utf-8"))
        # `h2` would take and send nothing more after a GOAWAY, but streams go on.
        self.h2._frame_dispatch_table[GoAwayFrame] = self._take_goaway
        self.changed = threading.Condition(threading.RLock())
        self.streams = {}
        self.auto_window = auto_window
        self.on_stream = on_stream
        self.settings = None
        self.goaway = None
        self.closed = False
        self.pings = 0
        self.sock = sock
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.wake, self.woken = socket.socketpair()
        self.unsent = bytearray()
        self.h2.initiate_connection()
        if settings:
            self._announce(settings)
        if window:
            self.h2.increment_flow_control_window(window - 65535)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _announce(self, settings):
        """Has the first frame tell these settings, but lets them hold only once they are acknowledged.

        `h2` would enforce at once what the other side cannot know yet.
        """
        self.h2.clear_outbound_data_buffer()
        first = SettingsFrame(0, settings={**self.h2.local_settings, **settings})
        self.h2.local_settings.update(settings)
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if self.h2.config.client_side else b""
        self.unsent += preface + first.serialize()

    # What the thread does.

    def _run(self):
        try:
            while not self.closed:
                self._turn()
        except (OSError, ssl.SSLError):
            pass
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.sock.close()

    def _turn(self):
        with self.changed:
            self.unsent += self.h2.data_to_send()
            wants = [self.sock] if self.unsent else []
        pending = isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
        readable, writable, _ = select.select([self.sock, self.woken], wants, [], 0 if pending else None)
        if self.woken in readable:
            self.woken.recv(4096)
        if writable:
            try:
                del self.unsent[:self.sock.send(self.unsent[:CHUNK])]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                pass
        if pending or self.sock in readable:
            try:
                data = self.sock.recv(CHUNK)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return
            self._receive(data)

    def _receive(self, data):
        with self.changed:
            if not data:
                self.closed = True
            else:
                for event in self.h2.receive_data(data):
                    self._take(event)
            self.changed.notify_all()

    def _take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        match event:
            case events.RequestReceived():
                stream = self.streams[event.stream_id] = Stream(event.stream_id)
                stream.headers = [tuple(field) for field in event.headers]
                threading.Thread(target=self.on_stream, args=(self, stream), daemon=True).start()
            case events.ResponseReceived():
                stream.headers = [tuple(field) for field in event.headers]
            case events.InformationalResponseReceived():
                stream.interim.append(dict(event.headers))
            case events.TrailersReceived():
                stream.trailers = dict(event.headers)
            case events.DataReceived():
                stream.data += event.data
                if self.auto_window:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                else:
                    stream.owed += event.flow_controlled_length
            case events.StreamEnded():
                stream.ended = True
            case events.StreamReset():
                stream.reset = event.error_code
            case events.RemoteSettingsChanged():
                self.settings = self.h2.remote_settings
            case events.PingAckReceived():
                self.pings += 1

    def _take_goaway(self, frame):
        self.goaway = (frame.error_code, frame.last_stream_id)
        return [], []

    # What others do.

    def flush(self):
        """Has the thread write what `h2` wants written."""
        try:
            self.wake.send(b"x")
        except OSError:
            pass

    def wait(self, condition, what, seconds=DEADLINE_S):
        """Waits until `condition()`, which is asked whenever something came."""
        with self.changed:
            assert self.changed.wait_for(condition, seconds), f"not within {seconds} s: {what}"

    def stream(self, headers, end=False):
        """Opens a stream with these fields."""
        with self.changed:
            stream = Stream(self.h2.get_next_available_stream_id())
            self.streams[stream.id] = stream
            self.h2.send_headers(stream.id, headers, end_stream=end)
        self.flush()
        return stream

    def head(self, stream, headers, end=False):
        """Sends a head, interim ones and trailers too."""
        with self.changed:
            self.h2.send_headers(stream.id, headers, end_stream=end)
        self.flush()

    def send(self, stream, data, end=False, seconds=DEADLINE_S):
        """Sends data as fast as the windows allow; yields how much went out, less than all if the stream ended."""
        sent, view = 0, memoryview(data)
        while sent < len(view) or (end and sent == 0 == len(view)):
            with self.changed:
                self.wait(lambda: self._is_over(stream) or self._window(stream) > 0, "a window opens", seconds)
                if self._is_over(stream):
                    return sent
                piece = min(self._window(stream), self.h2.max_outbound_frame_size, len(view) - sent)
                is_last = end and sent + piece == len(view)
                self.h2.send_data(stream.id, view[sent:sent + piece].tobytes(), end_stream=is_last)
            self.flush()
            sent += piece
            if is_last:
                break
        return sent

    def _is_over(self, stream):
        return self.closed or stream.reset is not None

    def _window(self, stream):
        return self.h2.local_flow_control_window(stream.id)

    def acknowledge(self, stream):
        """Gives back the window of all that came on a stream."""
        with self.changed:
            if stream.owed:
                self.h2.acknowledge_received_data(stream.owed, stream.id)
                stream.owed = 0
        self.flush()

    def reset(self, stream, code=ErrorCodes.CANCEL):
        """Ends a stream with RST_STREAM."""
        with self.changed:
            self.h2.reset_stream(stream.id, code)
        self.flush()

    def go_away(self, last_stream_id, code=ErrorCodes.NO_ERROR):
        """Sends GOAWAY and goes on with the streams there are."""
        frame = GoAwayFrame(0, last_stream_id=last_stream_id, error_code=code)
        with self.changed:
            # `h2` itself would take no more frames after it.
            self.h2._data_to_send += frame.serialize()
        self.flush()

    def close(self):
        """Closes the socket."""
        with self.changed:
            self.closed = True
        self.flush()
        self.thread.join(5)


class Client(Connection):
    """A client of Evenkeel: clear with prior knowledge, or over TLS by ALPN."""

    def __init__(self, port, tls=None, **options):
        sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.secure = tls is not None
        if tls:
            sock = tls.wrap_socket(sock, server_hostname="localhost")
            assert sock.selected_alpn_protocol() == "h2"
        super().__init__(sock, client_side=True, **options)
        self.wait(lambda: self.settings, "the server's settings")

    def request(self, path="/", method="GET", fields=(), end=True, authority="localhost"):
        """Opens a request."""
        scheme = "https" if self.secure else "http"
        pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
        return self.stream(pseudo + list(fields), end)

    def finish(self, stream, seconds=DEADLINE_S):
        """Waits for the end of a response, be it a bad one."""
        self.wait(lambda: stream.ended or stream.reset is not None or self.closed, "the stream ends", seconds)
        return stream

    def get(self, path="/", **more):
        """A whole request without a body, and its answer."""
        stream = self.finish(self.request(path, **more))
        assert stream.reset is None and stream.ended, f"no whole answer: reset {stream.reset}, closed {self.closed}"
        return stream


__all__ = ["Client", "Connection", "ErrorCodes", "SettingCodes", "Stream"]
