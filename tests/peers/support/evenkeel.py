"""The real binary as a process, on ports that the kernel chooses."""

import re
import signal
import subprocess

from support.wait import wait_until


class Evenkeel:
    """A running Evenkeel, ready to serve."""

    def __init__(self, binary, directory, configuration, workers=2, grace="10s", admin="off", under=(), log=None):
        directory.mkdir(parents=True, exist_ok=True)
        self.messages_file = directory / "messages"
        self.access_file = directory / "access.log"
        file = directory / "evenkeel.toml"
        file.write_text(
            f'[server]\nworkers = {workers}\ngrace = "{grace}"\n[admin]\nbind = "{admin}"\n'
            f'[log]\naccess = "{log or self.access_file}"\n{configuration}\n'
        )
        self.messages_stream = open(self.messages_file, "wb")
        self.process = subprocess.Popen(
            [*under, binary, "run", "-c", file],
            stdin=subprocess.DEVNULL,
            stdout=self.messages_stream,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: " ready" in self.messages() or self.process.poll() is not None, "it is ready")
            assert self.process.poll() is None, f"evenkeel does not start:\n{self.messages()}"
        except BaseException:
            self.process.kill()
            raise
        admin_port = re.search(r"admin on 127\.0\.0\.1:(\d+)", self.messages())
        self.admin_port = int(admin_port[1]) if admin_port else None
        self.ports = {
            name: int(port)
            for port, name in re.findall(r"listening on 127\.0\.0\.1:(\d+)(?: \(udp\))? listener=(\S+)", self.messages())
        }

    def messages(self):
        """What it has said so far."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.messages_file.read_text())

    def port(self, listener="web"):
        """Where a listener listens on 127.0.0.1."""
        return self.ports[listener]

    def leave(self):
        """Asks it to leave once what is in flight has ended."""
        self.process.send_signal(signal.SIGTERM)

    def end(self):
        """Ends it; what it said is part of a failed test's report."""
        for _ in range(2):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(0.5)
                except subprocess.TimeoutExpired:
                    pass
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.messages_stream.close()
        print(self.messages())
        if self.access_file.exists():
            print(self.access_file.read_text()[-1500:])
        assert "panicked" not in self.messages()


def listener(name="web", tls="", pool="app", **more):
    """The section of a listener; `tls` is the inside of its table."""
    lines = [f"[listener.{name}]", 'bind = "127.0.0.1:0"']
    lines += [f'pool = "{pool}"'] if pool else []
    lines += [f"tls = {{ {tls} }}"] if tls else []
    lines += [f"{key} = {value}" for key, value in more.items()]
    return "\n".join(lines) + "\n"


def pool(servers, name="app", **more):
    """The section of a pool of the given origins, or ports."""
    ports = [server if isinstance(server, int) else server.port for server in servers]
    lines = [f"[pool.{name}]", f"backends = {ports}"]
    for server in servers[:1]:
        lines += getattr(server, "keys", [])
    lines += [f"{key} = {value}" for key, value in more.items()]
    return "\n".join(lines) + "\n"
