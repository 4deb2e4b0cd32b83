"""A real Prometheus scrapes real processes with the files of contrib: queries answer, and an alert fires when a server stops."""

import json
import re
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from everything import Server
from expressions import resolved
from support.evenkeel import Evenkeel, listener, pool
from support.wait import wait_until
from test_dashboard import expressions

# Scrapes and rules come each second here, and pending times are cut to one.
PATIENCE_S = 40


class Prometheus:
    """A running Prometheus with the rules of contrib and the given targets."""

    def __init__(self, program, contrib, directory, ports):
        rules = (contrib / "prometheus/evenkeel-rules.yml").read_text()
        (directory / "evenkeel-rules.yml").write_text(re.sub(r"for: \d+[sm]", "for: 1s", rules))
        config = (contrib / "prometheus/prometheus.yml").read_text().replace(": 15s", ": 1s")
        assert '"127.0.0.1:9900"' in config
        config = config.replace('"127.0.0.1:9900"', ", ".join(f'"127.0.0.1:{port}"' for port in ports))
        (directory / "prometheus.yml").write_text(config)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.log = open(directory / "log", "wb")
        self.process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={directory}/prometheus.yml",
                f"--storage.tsdb.path={directory}/data",
                f"--web.listen-address={self.url.removeprefix('http://')}",
            ],
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def get(self, path, **parameters):
        """What the API answers."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            answer = json.load(urllib.request.urlopen(url, timeout=10))
        except urllib.error.HTTPError as error:
            # It is starting.
            if error.code == 503:
                return None
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        except urllib.error.URLError:
            return None
        return answer["data"]

    def query(self, expression):
        """The vector that an expression has now."""
        data = self.get("query", query=expression)
        return data and data["result"]

    def firing(self):
        """Names and labels of the alerts that fire."""
        alerts = (self.get("alerts") or {}).get("alerts", [])
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    def end(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


@pytest.fixture(scope="module")
def servers():
    """Two servers of the process that is watched for alerts."""
    both = [Server(), Server()]
    yield both
    for server in both:
        server.close()


@pytest.fixture(scope="module")
def watched(binary, tmp_path_factory, servers):
    """A small process whose servers may stop."""
    text = listener() + pool(servers, health='{ path = "/", interval = "50ms", fall = 1 }')
    running = Evenkeel(binary, tmp_path_factory.mktemp("watched"), text, admin="127.0.0.1:0")
    yield running
    running.end()


@pytest.fixture(scope="module")
def prometheus(program, contrib, tmp_path_factory, everything, watched):
    """It scrapes both processes."""
    ports = [everything.evenkeel.admin_port, watched.admin_port]
    running = Prometheus(program, contrib, tmp_path_factory.mktemp("prometheus"), ports)
    wait_until(lambda: len(running.query("up == 1") or []) == 2, "both targets are up", PATIENCE_S)
    yield running
    running.end()


def test_queries_of_dashboard_and_rules_answer(prometheus, contrib, everything):
    for _ in range(3):
        everything.use()
    wait_until(lambda: prometheus.query('evenkeel_requests_total{class="5xx"} offset 3s'), "some scrapes", PATIENCE_S)
    dashboard = json.loads((contrib / "grafana/evenkeel.json").read_text())
    answers = {}
    for title, expr in expressions(dashboard):
        answers[title] = answers.get(title, []) + prometheus.query(resolved(expr))
    for title in [
        "Requests", "Errors", "p95", "Requests by pool", "p95 by route (10 slowest)", "p95 by server", "What is wrong with servers",
        "Circuit breakers", "Retries", "Queues", "Hit ratio by route", "TLS handshakes", "Certificates", "Bytes", "CPU", "Versions and starts",
    ]:
        assert answers[title], f"no data: {title}"
    metadata = prometheus.get("metadata", metric="evenkeel_requests_total")
    assert metadata == {} or metadata["evenkeel_requests_total"][0]["type"] == "counter"
    groups = prometheus.get("rules")["groups"]
    assert all(rule["health"] == "ok" for group in groups for rule in group["rules"]), groups


def test_an_alert_fires_when_a_server_stops_and_ends_when_it_is_back(prometheus, watched, servers):
    down = {"alertname": "EvenkeelServerDown", "backend": f"127.0.0.1:{servers[0].port}"}
    empty = {"alertname": "EvenkeelPoolWithoutServers", "instance": f"127.0.0.1:{watched.admin_port}"}

    def fires(alert):
        return any(alert.items() <= labels.items() for labels in prometheus.firing())

    assert not fires(down)
    servers[0].close()
    wait_until(lambda: fires(down), "the alert fires", PATIENCE_S)
    assert not fires(empty)
    servers[1].close()
    wait_until(lambda: fires(empty), "the second alert fires", PATIENCE_S)
    servers[0].open()
    wait_until(lambda: not fires(down) and not fires(empty), "both end", PATIENCE_S)
