"""schemathesis: what the admin API says of itself in OpenAPI, held against what it does."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

from support.evenkeel import listener, pool

# What is sent to `/reload` and the like is carried out: the configuration stays the same, and so do its routes.
SPLIT = """
[[route]]
name = "release"
path = "/release/*"
split = [{ pool = "app", weight = 9 }, { pool = "other", weight = 1 }]
[pool.other]
backends = ["127.0.0.1:9"]
"""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def end_successor(address, pid):
    """Ends what has taken the place of process `pid`: `/upgrade` is carried out as well."""
    with urllib.request.urlopen(f"http://{address}/status", timeout=10) as answer:
        serving = json.load(answer)["pid"]
    if serving != pid:
        os.kill(serving, signal.SIGTERM)


def test_each_answer_is_as_described(evenkeel, origin):
    server = origin("h1", lambda exchange: exchange.head(200, [], end=True))
    process = evenkeel(listener("web") + pool([server]) + SPLIT, admin="127.0.0.1:0")
    address = re.search(r"admin on (\S+)", process.messages()).group(1)
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"http://{address}/openapi.json",
        "--url", f"http://{address}", "--checks", CHECKS, "--max-examples", "20", "--seed", "1",
        "--suppress-health-check", "all", "--request-timeout", "40", "--no-color",
        # A stream does not end.
        "--exclude-path", "/live",
    ]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=280)
    end_successor(address, process.process.pid)
    assert outcome.returncode == 0, outcome.stdout[-6000:] + outcome.stderr[-2000:]
