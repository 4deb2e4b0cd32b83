"""A real logrotate with the file of contrib: the log is moved and opened anew, and no line is lost."""

import gzip
import http.client
import subprocess
import threading

from support.evenkeel import listener
from support.wait import wait_until

COMMAND = "systemctl kill --signal=USR1 --kill-whom=main evenkeel.service"
ROTATIONS = 4


def test_logrotate_moves_the_log_and_no_line_is_lost(evenkeel, contrib, program, tmp_path):
    running = evenkeel('[[route]]\nrespond = { status = 204 }\n' + listener(pool=None))
    logs = running.access_file.parent
    text = (contrib / "logrotate/evenkeel").read_text()
    assert COMMAND in text and "/var/log/evenkeel/*.log" in text
    rules = tmp_path / "rules"
    rules.write_text(
        text.replace("/var/log/evenkeel/*.log", f"{logs}/*.log").replace(COMMAND, f"kill -USR1 {running.process.pid}")
    )
    rules.chmod(0o644)

    sent, stop = 0, threading.Event()

    def traffic():
        nonlocal sent
        client = http.client.HTTPConnection("127.0.0.1", running.port(), timeout=15)
        while not stop.is_set():
            client.request("GET", f"/{sent}")
            client.getresponse().read()
            sent += 1
        client.close()

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        for rotation in range(1, ROTATIONS + 1):
            before = sent
            wait_until(lambda: sent > before + 50 and running.access_file.stat().st_size > 0, "there are lines")
            rotate = [program("logrotate"), "--force", "--state", str(tmp_path / "state"), str(rules)]
            done = subprocess.run(rotate, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            wait_until(lambda: running.access_file.exists(), f"a new file after rotation {rotation}")
    finally:
        stop.set()
        thread.join()
    assert len(list(logs.glob("access.log.*.gz"))) == ROTATIONS - 1, "all but the newest are compressed"

    def targets():
        lines = []
        for file in logs.glob("access.log*"):
            data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            lines += [line.split(b'"target":"/')[1].split(b'"')[0] for line in data.splitlines()]
        return sorted(map(int, lines))

    wait_until(lambda: len(targets()) == sent, "all lines are there")
    assert targets() == list(range(sent)), "each request once"
