"""The access log in a real rsyslogd and a real systemd-journald."""

import contextlib
import http.client
import json
import subprocess

from support.evenkeel import listener
from support.wait import wait_until

REQUESTS = 200
ROUTE = "[[route]]\nrespond = { status = 204 }\n"
TARGETS = [f'/{number}?quote="%C3%A9"' for number in range(REQUESTS)]


@contextlib.contextmanager
def daemon(*command):
    """A process that ends with the block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def ask(running):
    """Sends the requests over one connection."""
    client = http.client.HTTPConnection("127.0.0.1", running.port(), timeout=15)
    for target in TARGETS:
        client.request("GET", target, headers={"user-agent": 'a "client"'})
        assert client.getresponse().read() == b""
    client.close()


def test_rsyslogd_reads_each_line(evenkeel, program, tmp_path):
    socket, received = tmp_path / "log.socket", tmp_path / "received"
    rules = tmp_path / "rsyslog.conf"
    rules.write_text(
        f'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="{socket}" CreatePath="on" '
        'UseSpecialParser="off" ParseHostname="on" RateLimit.Interval="0")\n'
        'template(name="parts" type="list" option.jsonf="on") {\n'
        'property(outname="program" name="app-name" format="jsonf")\n'
        'property(outname="id" name="msgid" format="jsonf")\n'
        'property(outname="severity" name="syslogseverity-text" format="jsonf")\n'
        'property(outname="facility" name="syslogfacility-text" format="jsonf")\n'
        'property(outname="line" name="msg" format="jsonf") }\n'
        f'action(type="omfile" file="{received}" template="parts")\n'
    )
    with daemon(program("rsyslogd"), "-n", "-f", str(rules), "-i", str(tmp_path / "pid")):
        wait_until(socket.exists, "rsyslogd listens")
        running = evenkeel(ROUTE + listener(pool=None), log=f"syslog:{socket}")
        ask(running)

        def messages():
            text = received.read_text() if received.exists() else ""
            return [json.loads(message) for message in text.splitlines() if message.endswith("}")]

        wait_until(lambda: len(messages()) >= REQUESTS, "rsyslogd has written all messages")
    assert {(m["program"], m["id"], m["facility"], m["severity"]) for m in messages()} == {
        ("evenkeel", "access", "daemon", "info")
    }
    lines = [json.loads(message["line"]) for message in messages()]
    assert [line["target"] for line in lines] == TARGETS
    assert {(line["status"], line["user_agent"]) for line in lines} == {(204, 'a "client"')}


def test_journald_keeps_each_field(evenkeel, program, tmp_path):
    sockets, journal = tmp_path / "sockets", tmp_path / "journal"
    sockets.mkdir()
    journal.mkdir()
    # In a mount namespace, so that the journal of this machine stays as it is.
    script = (
        "mount --bind $1 /run/systemd/journal && mount --bind $2 /run/log/journal && exec $3"
    )
    for folder in ("/run/systemd/journal", "/run/log/journal"):
        subprocess.run(["mkdir", "-p", folder], check=True)
    command = [program("unshare"), "--mount", "sh", "-c", script, "sh", str(sockets), str(journal), program("systemd-journald")]
    with daemon(*command):
        wait_until((sockets / "socket").exists, "journald listens")
        running = evenkeel(ROUTE + listener(pool=None), log=f"journald:{sockets / 'socket'}")
        ask(running)

        def entries():
            show = ["journalctl", "--directory", str(journal), "--output", "json", "SYSLOG_IDENTIFIER=evenkeel"]
            text = subprocess.run(show, capture_output=True, text=True).stdout
            return [json.loads(entry) for entry in text.splitlines()]

        wait_until(lambda: len(entries()) >= REQUESTS, "journald has written all entries")
    assert [entry["EVENKEEL_TARGET"] for entry in entries()] == TARGETS
    assert {(e["EVENKEEL_STATUS"], e["EVENKEEL_USER_AGENT"], e["PRIORITY"]) for e in entries()} == {
        ("204", 'a "client"', "6")
    }
