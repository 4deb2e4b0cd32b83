"""Dockerfile, Compose file and Kubernetes manifests: other people's checkers take them, and what they name is there."""

import http.client
import json
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from everything import Server
from support.evenkeel import Evenkeel
from support.wait import wait_until

TOOLS = pathlib.Path(sys.executable).parent


def tool(name, *arguments):
    """Runs a program of the Python environment; it must find nothing."""
    done = subprocess.run([TOOLS / name, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def check(binary, directory, text, **files):
    """The binary takes a configuration, with the given files beside it."""
    (directory / "evenkeel.toml").write_text(text)
    for name, content in files.items():
        (directory / name.replace("_", "-")).write_text(content)
    done = subprocess.run([binary, "check", "-c", directory / "evenkeel.toml"], capture_output=True, text=True)
    assert done.returncode == 0 and "warning" not in done.stderr, done.stdout + done.stderr


@pytest.fixture(scope="module")
def manifests(contrib):
    """Of the plain deployment, by kind."""
    found = list(yaml.safe_load_all((contrib / "kubernetes/evenkeel.yaml").read_text()))
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def test_the_dockerfile(contrib, root, binary, tmp_path):
    file = contrib / "docker/Dockerfile"
    tool("hadolint", file)
    text = file.read_text()
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.M):
        assert (root / source).exists(), source
    profile = re.search(r"--profile (\w+)", text)[1]
    assert f"[profile.{profile}]" in (root / "Cargo.toml").read_text()
    assert f"target/$target/{profile}/evenkeel" in text
    command = json.loads(re.search(r"^CMD (.*)$", text, re.M)[1])
    installed = re.search(r"^COPY contrib/docker/evenkeel.toml (\S+)$", text, re.M)[1]
    assert command == ["run", "-c", installed]
    needed = re.search(r'rust-version = "([\d.]+)"', (root / "Cargo.toml").read_text())[1]
    stated = re.search(r"^FROM rust:([\d.]+)-", text, re.M)[1]
    assert tuple(map(int, stated.split("."))) >= tuple(map(int, needed.split(".")))
    check(binary, tmp_path, (contrib / "docker/evenkeel.toml").read_text())


def test_the_compose_file(contrib, binary, program, tmp_path):
    directory = contrib / "compose"
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", directory / "compose.yaml")
    services = yaml.safe_load((directory / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        for volume in service.get("volumes", []):
            assert (directory / volume.split(":")[0]).exists(), f"{name}: {volume}"
        assert set(service.get("depends_on", [])) <= set(services)
        assert "build" in service or re.search(r":v?\d+\.\d+", service["image"]), f"{name} has no version"
    token = (directory / "admin-token").read_text()
    text = (directory / "evenkeel.toml").read_text()
    check(binary, tmp_path, text, admin_token=token)
    for address in re.findall(r'address = "([\w-]+):(\d+)"', text):
        assert address[0] in services and address[1] in services[address[0]]["command"]
    # Where the container has them.
    for volume in services["prometheus"]["volumes"]:
        source, target, _ = volume.split(":")
        (tmp_path / pathlib.Path(target).name).write_text((directory / source).read_text())
    subprocess.run([program("promtool"), "check", "config", tmp_path / "prometheus.yml"], check=True)
    sources = yaml.safe_load((directory / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    assert sources["datasources"][0]["url"] == "http://prometheus:9090" and "prometheus" in services
    provider = yaml.safe_load((directory / "grafana/provisioning/dashboards/evenkeel.yaml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert any(f":{path}/evenkeel.json" in volume for volume in services["grafana"]["volumes"])


def test_kubernetes_takes_the_manifests(contrib):
    # The oldest and the newest that have `preStop.sleep` in force.
    for version in ("1.31", "1.37"):
        said = tool("kubernetes-validate", "--strict", "-k", version, contrib / "kubernetes/evenkeel.yaml")
        assert said.count("passed") == 5, said


def test_the_manifests_fit_each_other(manifests):
    deployment = manifests["Deployment", "evenkeel"]["spec"]
    pod = deployment["template"]
    container = pod["spec"]["containers"][0]
    labels, ports = pod["metadata"]["labels"].items(), {port["name"]: port["containerPort"] for port in container["ports"]}
    for selector in [
        deployment["selector"]["matchLabels"],
        manifests["PodDisruptionBudget", "evenkeel"]["spec"]["selector"]["matchLabels"],
        manifests["Service", "evenkeel"]["spec"]["selector"],
        manifests["Service", "evenkeel-admin"]["spec"]["selector"],
    ]:
        assert selector.items() <= labels
    for name in ("evenkeel", "evenkeel-admin"):
        assert all(port["targetPort"] in ports for port in manifests["Service", name]["spec"]["ports"])
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}
    text = manifests["ConfigMap", "evenkeel"]["data"]["evenkeel.toml"]
    for name, key in [("http", "listener.web"), ("admin", "admin")]:
        assert f':{ports[name]}"' in text.split(f"[{key}]")[1].split("\n\n")[0]
    grace = int(re.search(r'grace = "(\d+)s"', text)[1])
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["spec"]["terminationGracePeriodSeconds"] > grace + pause
    assert manifests["PodDisruptionBudget", "evenkeel"]["spec"]["minAvailable"] < deployment["replicas"]


def test_probes_and_configuration_of_the_deployment_work(manifests, binary, tmp_path):
    """The configuration of the ConfigMap, with the pool at a server that is here, and the probes without a token."""
    server = Server()
    text = manifests["ConfigMap", "evenkeel"]["data"]["evenkeel.toml"]
    (tmp_path / "token").write_text("a token of this test\n")
    (tmp_path / "servers.toml").write_text(f'backends = ["127.0.0.1:{server.port}"]\n')
    text = text.replace("/etc/evenkeel-admin/token", str(tmp_path / "token"))
    check(binary, tmp_path, text)
    # What the fixture adds itself, and addresses that may be taken.
    text = "[listener.web]" + text.split("[listener.web]")[1]
    text = text.replace("0.0.0.0:8080", "127.0.0.1:0")
    text = re.sub(r"discover = .*", f'discover = {{ file = "{tmp_path}/servers.toml" }}', text)
    admin = f'127.0.0.1:0"\ntoken_file = "{tmp_path}/token'
    running = Evenkeel(binary, tmp_path / "evenkeel", text, admin=admin)
    try:
        container = manifests["Deployment", "evenkeel"]["spec"]["template"]["spec"]["containers"][0]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = container[probe]["httpGet"]["path"]
            wait_until(lambda: ask(running.admin_port, path) == 200, f"{probe} succeeds")
        assert ask(running.admin_port, "/status") == 401
        server.close()
        readiness = container["readinessProbe"]["httpGet"]["path"]
        wait_until(lambda: ask(running.admin_port, readiness) == 503, "it is not ready without servers")
    finally:
        running.end()


def ask(port, path):
    """The status without a token, as the kubelet asks."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        client.request("GET", path)
        return client.getresponse().status
    finally:
        client.close()
