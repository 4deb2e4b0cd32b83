"""A process with all features in use, behind it servers of every kind, and the traffic that makes its metrics begin."""

import contextlib
import http.client
import http.server
import socket
import threading
import time
import urllib.error
import urllib.request

from support.evenkeel import Evenkeel
from support.wait import wait_until


class Server:
    """An HTTP server that does what the path says: /503, /slow, /text, else a response that may be cached."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status = 503 if self.path.startswith("/503") else 200
                body = b"words and words " * 200 if self.path.startswith("/text") else b"x"
                if self.path.startswith("/slow"):
                    time.sleep(0.2)
                self.send_response(status)
                self.send_header("content-type", "text/plain")
                self.send_header("cache-control", "max-age=60")
                self.send_header("content-length", str(len(body)))
                # A hedge that lost is cancelled.
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(body)

            do_POST = do_HEAD = do_GET

            def log_message(self, *_):
                """Says nothing."""

        self.handler, self.port = Handler, 0
        self.open()

    def open(self):
        """Listens, on the same port as before."""
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self.handler)
        self.httpd.daemon_threads = True
        self.port = self.httpd.server_port
        threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        """Stops listening. Connections that are open stay."""
        self.httpd.shutdown()
        self.httpd.server_close()


class Echo:
    """A server of TCP and one of UDP that send back what comes; it can pass for a Redis that is a primary."""

    def __init__(self):
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.tcp_port, self.udp_port = self.tcp.getsockname()[1], self.udp.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._datagrams, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection):
        info = "role:master\r\nmaster_replid:" + "a" * 40 + "\r\nmaster_repl_offset:1\r\n"
        answers = {
            b"PING": b"+PONG\r\n",
            b"ROLE": b"*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n",
            b"INFO": f"${len(info)}\r\n{info}\r\n".encode(),
        }
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(65536):
                known = [answer for word, answer in answers.items() if data.startswith(b"*") and word in data]
                connection.sendall(known[0] if known else data)

    def _datagrams(self):
        while True:
            try:
                data, client = self.udp.recvfrom(65536)
            except OSError:
                return
            self.udp.sendto(data, client)

    def close(self):
        """Stops listening."""
        self.tcp.close()
        self.udp.close()


def configuration(servers, echo, certificate, directory):
    """Every feature that has metrics of its own."""
    first, second = (server.port for server in servers)
    return f"""
[cache]
memory = "16MiB"
disk = {{ path = "{directory}/cache", size = "64MiB" }}
purge_from = ["127.0.0.0/8"]
[redis]
url = "redis://127.0.0.1:{echo.tcp_port}/0"
[overload]
memory = "8GiB"
delay = "5s"
[listener.web]
bind = "127.0.0.1:0"
[listener.proxied]
bind = "127.0.0.1:0"
accept_proxy_protocol = ["127.0.0.0/8"]
pool = "app"
timeout = {{ head = "1s" }}
[listener.secure]
bind = "127.0.0.1:0"
tls = {{ {certificate.tls} }}
[listener.stream]
bind = "127.0.0.1:0"
protocol = "tcp"
pool = "stream"
[listener.datagrams]
bind = "127.0.0.1:0"
protocol = "udp"
pool = "datagrams"
max_sessions = 1
[[route]]
name = "app"
pool = "app"
compress = true
retry = {{ attempts = 2, on = ["connect", "503"], methods = ["GET"] }}
rate_limit = {{ name = "clients", per = "client-ip", rate = "1/s", burst = 1, dry_run = true }}
mirror = {{ pool = "shadow" }}
[[route]]
name = "hedged"
path = "/slow/*"
pool = "app"
hedge = {{ after = "20ms" }}
[[route]]
name = "cached"
path = "/cached/*"
pool = "app"
cache = true
[[route]]
name = "files"
path = "/files/*"
files = "{directory}/site"
[[route]]
name = "dead"
path = "/dead/*"
pool = "dead"
[[route]]
name = "queued"
path = "/queued/*"
rewrite = {{ path = "/slow" }}
pool = "queued"
[pool.app]
backends = [{{ address = "127.0.0.1:{first}", name = "a" }}, {{ address = "127.0.0.1:{second}", name = "b" }},
            {{ address = "127.0.0.1:1", name = "dead", backup = true }}]
health = {{ path = "/health", interval = "100ms", fall = 1 }}
outlier = {{ failures = 3, on = ["503"], max_ejected = "10%" }}
breaker = {{ max_requests = 1000, max_retries = 50 }}
server_breaker = {{ failures = "90%", requests_min = 1000 }}
concurrency = {{ algorithm = "aimd", min = 100, max = 1000 }}
wait_for_server = "100ms"
slow_start = "1s"
[pool.queued]
backends = [{{ address = "127.0.0.1:{second}", name = "b" }}]
breaker = {{ max_requests = 1, max_pending = 2 }}
queue = {{ wait = "5s" }}
[pool.dead]
backends = [{{ address = "127.0.0.1:1", name = "dead" }}]
[pool.found]
discover = {{ file = "{directory}/servers.toml" }}
[pool.shadow]
backends = [{{ address = "127.0.0.1:{second}", name = "shadow" }}]
[pool.stream]
backends = [{{ address = "127.0.0.1:{echo.tcp_port}", name = "echo" }}]
health = {{ kind = "redis", role = "primary", interval = "100ms" }}
[pool.datagrams]
backends = [{{ address = "127.0.0.1:{echo.udp_port}", name = "echo" }}]
"""


class Everything:
    """The process, with traffic behind it."""

    def __init__(self, binary, directory, authority, under=()):
        (directory / "site").mkdir()
        (directory / "site/index.html").write_text("<p>hello</p>")
        (directory / "servers.toml").write_text('backends = ["127.0.0.1:1"]\n')
        self.servers, self.echo = [Server(), Server()], Echo()
        self.datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagram.settimeout(15)
        self.authority = authority
        text = configuration(self.servers, self.echo, authority.localhost, directory)
        self.evenkeel = Evenkeel(binary, directory / "evenkeel", text, admin="127.0.0.1:0", under=under)
        self.admin = f"http://127.0.0.1:{self.evenkeel.admin_port}"
        wait_until(lambda: 'state="down"' in self.metrics(), "the dead server is seen")
        self.use()

    def get(self, path, listener="web", method="GET", **fields):
        """A request over a connection of its own; yields the status."""
        port = self.evenkeel.port(listener)
        if listener == "secure":
            context = self.authority.client_context()
            client = http.client.HTTPSConnection("localhost", port, timeout=15, context=context)
        else:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        try:
            client.request(method, path, headers=fields)
            response = client.getresponse()
            response.read()
            return response.status
        finally:
            client.close()

    def metrics(self, accept="text/plain"):
        """The page."""
        request = urllib.request.Request(self.admin + "/metrics", headers={"accept": accept})
        return urllib.request.urlopen(request, timeout=15).read().decode()

    def command(self, method, path, body=b""):
        """Asks the admin API."""
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.admin + path, method=method, data=body, headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=15).status
        except urllib.error.HTTPError as error:
            return error.code

    def use(self):
        """Has every feature do something; leaves server `b` draining."""
        assert self.command("PUT", "/pools/app/servers/b", b'{"state": "ready"}') == 200
        for _ in range(3):
            assert self.get("/") == 200
            assert self.get("/text", **{"accept-encoding": "gzip"}) == 200
            assert self.get("/cached/one") == 200
            assert self.get("/files/index.html") == 200
            assert self.get("/", listener="secure") == 200
        for _ in range(8):
            self.get("/503")
        self.get("/dead/one")
        self.get("/slow/one")
        waiting = [threading.Thread(target=self.get, args=("/queued/one",)) for _ in range(5)]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
        self.get("/cached/one", method="PURGE")
        self._raw("nonsense\r\n\r\n")
        self._raw("GET / HTTP/1.1\r\n\r\n", listener="proxied")
        self._relayed()
        assert self.command("PUT", "/pools/app/servers/b", b'{"state": "drain"}') == 200

    def _raw(self, text, listener="web"):
        with socket.create_connection(("127.0.0.1", self.evenkeel.port(listener)), 15) as wire:
            wire.sendall(text.encode())
            with contextlib.suppress(ConnectionResetError):
                while wire.recv(4096):
                    pass

    def _relayed(self):
        with socket.create_connection(("127.0.0.1", self.evenkeel.port("stream")), 15) as wire:
            wire.sendall(b"hello")
            assert wire.recv(100) == b"hello"
        self.datagram.sendto(b"hello", ("127.0.0.1", self.evenkeel.port("datagrams")))
        assert self.datagram.recv(100) == b"hello"
        # There is room for one session.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
            another.sendto(b"hello", ("127.0.0.1", self.evenkeel.port("datagrams")))
            wait_until(lambda: "evenkeel_datagrams_dropped_total{" in self.metrics(), "it is dropped")

    def end(self):
        """Ends the process and its servers."""
        self.evenkeel.end()
        self.datagram.close()
        for server in self.servers:
            server.close()
        self.echo.close()
