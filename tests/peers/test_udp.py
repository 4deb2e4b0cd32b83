"""DNS over UDP: `dig` asks name servers through the balancer."""

import socket
import struct
import threading

import pytest

from support.command import run
from support.wait import wait_until

A, TXT = 1, 16


class NameServer:
    """Answers A with an address of its own, and TXT with as many bytes as the name's first label says."""

    def __init__(self, address):
        self.address = address
        self.asked = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            self.asked += 1
            self.socket.sendto(self.answer(query), client)

    def answer(self, query):
        end = query.index(b"\0", 12) + 5
        question = query[12:end]
        kind = struct.unpack("!H", question[-4:-2])[0]
        if kind == TXT:
            count = int(question[1:1 + question[0]])
            data = b"".join(b"\x64" + b"x" * 100 for _ in range(count // 100))
        else:
            data = socket.inet_aton(self.address)
        header = query[:2] + struct.pack("!HHHHH", 0x8580, 1, 1, 0, 0)
        return header + question + b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


@pytest.fixture
def servers():
    started = [NameServer("192.0.2.1"), NameServer("192.0.2.2")]
    yield started
    for server in started:
        server.socket.close()


def configuration(servers, listener=""):
    backends = ", ".join(f'"127.0.0.1:{server.port}"' for server in servers)
    return (
        f'[listener.dns]\nbind = "127.0.0.1:0"\nprotocol = "udp"\npool = "dns"\n{listener}\n'
        f"[pool.dns]\nbackends = [{backends}]\n"
    )


def dig(process, *question, ok=True):
    """The lines of the answer."""
    options = ["+short", "+notcp", "+ignore", "+tries=1", "+time=10"]
    return run("dig", "@127.0.0.1", "-p", str(process.port("dns")), *options, *question, ok=ok).split("\n")


def test_questions_are_spread_over_the_servers(evenkeel, servers):
    process = evenkeel(configuration(servers))
    answers = [dig(process, "shop.example.com", "A")[0] for _ in range(10)]
    # Two workers, each in turn: each question comes from another port.
    assert set(answers) <= {server.address for server in servers}
    assert sum(server.asked for server in servers) == 10
    assert all(server.asked > 0 for server in servers)


def test_an_answer_of_several_packets_comes_whole(evenkeel, servers):
    process = evenkeel(configuration(servers, "max_answers = 1"))
    said = dig(process, "+bufsize=16384", "9000.example.com", "TXT")[0]
    assert said.count("x") == 9000


def test_dig_goes_on_when_a_server_dies(evenkeel, servers):
    process = evenkeel(configuration(servers) + 'outlier = { failures = 1, window = "30s", eject = "60s" }\npanic = "0%"\n')
    servers[0].socket.close()

    def is_ejected():
        # A question that comes to the dead server is lost.
        dig(process, "+time=1", "a.example.com", "A", ok=False)
        return "ejected" in process.messages()

    wait_until(is_ejected, "the dead server is ejected")
    for _ in range(5):
        assert dig(process, "a.example.com", "A")[0] == "192.0.2.2"
