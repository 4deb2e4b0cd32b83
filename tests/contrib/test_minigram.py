"""What lies beside MiniGram for others: image files, Compose file, Kubernetes manifests, rules and dashboard."""

import json
import re
import subprocess
import tomllib
from urllib.parse import urlsplit

import pytest
import yaml

from expressions import uses
from test_containers import check, tool
from test_dashboard import expressions


@pytest.fixture(scope="module")
def minigram(root):
    """The folder of MiniGram."""
    return root / "minigram"


@pytest.fixture(scope="module")
def compose(minigram):
    """The Compose file."""
    return yaml.safe_load((minigram / "deploy/compose/compose.yaml").read_text())


@pytest.fixture(scope="module")
def manifests(minigram):
    """The manifests, by kind and name."""
    files = (minigram / "deploy/kubernetes").glob("*.yaml")
    found = [one for file in files for one in yaml.safe_load_all(file.read_text())]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def test_the_image_files_copy_what_is_there(minigram, root):
    for file, context in [("deploy/Containerfile", root), ("deploy/engines/Containerfile", minigram / "deploy/engines")]:
        tool("hadolint", minigram / file)
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", (minigram / file).read_text(), re.M):
            for source in sources.split():
                assert (context / source).exists(), source
    for script in (minigram / "deploy/engines").glob("*.sh"):
        subprocess.run(["sh", "-n", script], check=True)


def test_the_compose_file(minigram, compose):
    directory = minigram / "deploy/compose"
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", directory / "compose.yaml")
    text = (directory / "compose.yaml").read_text()
    example = (directory / "example.env").read_text()
    given = set(re.findall(r"^(\w+)=", example, re.M))
    # `$$` is a dollar sign.
    needed = set(re.findall(r"(?<!\$)\$\{(\w+)", text)) | {secret["environment"] for secret in compose["secrets"].values()}
    assert needed == given
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", [])) <= set(compose["services"]), name
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        assert {config["source"] for config in service.get("configs", [])} <= set(compose["configs"]), name
        context, file = service["build"]["context"], service["build"]["dockerfile"]
        assert (directory / context / file).is_file(), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = (directory / source).exists() if source.startswith(".") else source in compose["volumes"]
            assert there, f"{name}: {volume}"


def test_the_balancers_of_the_compose_file(minigram, compose, binary, tmp_path):
    directory = minigram / "deploy/compose"
    for name in ("web", "databases"):
        text = (directory / f"{name}.toml").read_text()
        for host in re.findall(r'"([\w-]+):\d+"', text):
            assert host in compose["services"], host
        secrets = set(re.findall(r"/run/secrets/([\w-]+)", text))
        assert secrets == set(compose["services"][name]["secrets"])
        check_with_secrets(binary, tmp_path, text)


def test_the_application_purges_every_edge_and_the_edge_has_the_pages(minigram, compose, manifests):
    settings = tomllib.loads(re.sub(r"\$\{\w+\}", "x", compose["configs"]["minigram"]["content"]))
    assert [urlsplit(edge["admin"]).hostname for edge in settings["edge"]] == ["web"]
    for edge in settings["edge"]:
        assert edge["token_file"].rsplit("/", 1)[1] in compose["services"]["app"]["secrets"]
    # On Kubernetes one name leads to each pod, and the comment on top of the file says so.
    said = re.search(r'#   admin = "http://([\w-]+):(\d+)"', (minigram / "deploy/kubernetes/engines.yaml").read_text())
    service = manifests["Service", said[1]]["spec"]
    assert service["clusterIP"] == "None" and service["publishNotReadyAddresses"]
    assert [str(port["port"]) for port in service["ports"]] == [said[2]]
    assert service["selector"] == manifests["Deployment", "web"]["spec"]["selector"]["matchLabels"]

    web = manifests["Deployment", "web"]["spec"]["template"]["spec"]
    for command, volumes, text in [
        (compose["services"]["pages"]["command"], compose["services"]["web"]["volumes"], (minigram / "deploy/compose/web.toml").read_text()),
        (web["initContainers"][0]["args"], [f"{it['name']}:{it['mountPath']}:ro" for it in web["containers"][0]["volumeMounts"]], manifests["ConfigMap", "web"]["data"]["evenkeel.toml"]),
    ]:
        assert command[:2] == ["pages", "--to"] and f"pages:{command[2]}:ro" in volumes
        roots = [route["files"]["root"] for route in tomllib.loads(text)["route"] if "files" in route]
        assert roots == [f"{command[2]}/assets", command[2]]


def test_the_prometheus_of_the_compose_file(minigram, compose, program, tmp_path):
    services = compose["services"]
    for volume in services["prometheus"]["volumes"]:
        if volume.startswith("."):
            source, target, _ = volume.split(":")
            (tmp_path / target.rsplit("/", 1)[1]).write_text((minigram / "deploy/compose" / source).read_text())
    file = tmp_path / "prometheus.yml"
    text = file.read_text()
    for host in re.findall(r'"([\w-]+):\d+"', text):
        assert host in services, host
    (tmp_path / "admin-token").write_text("token")
    file.write_text(text.replace("/run/secrets/", f"{tmp_path}/"))
    subprocess.run([program("promtool"), "check", "config", file], check=True)


def test_kubernetes_takes_the_manifests(minigram, manifests):
    said = ""
    for file in (minigram / "deploy/kubernetes").glob("*.yaml"):
        said += tool("kubernetes-validate", "--strict", "-k", "1.37", file)
    assert said.count("passed") == len(manifests), said


def test_the_manifests_fit_each_other(manifests, minigram):
    given = set(re.findall(r"^(\w+)=", (minigram / "deploy/compose/example.env").read_text(), re.M))
    for (kind, name), manifest in manifests.items():
        spec = manifest.get("spec")
        if kind in ("Deployment", "StatefulSet"):
            pod = spec["template"]
            labels = pod["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= labels.items()
            volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
            volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
            container = pod["spec"]["containers"][0]
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes, name
            for first in pod["spec"].get("initContainers", []):
                assert {mount["name"] for mount in first["volumeMounts"]} <= volumes, name
            for variable in container.get("env", []):
                key = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
                assert key is None or key in given, key
            for volume in pod["spec"].get("volumes", []):
                if "configMap" in volume:
                    assert ("ConfigMap", volume["configMap"]["name"]) in manifests
        if kind == "StatefulSet":
            assert ("Service", spec["serviceName"]) in manifests
        if kind == "Service":
            owned = spec["selector"]["app.kubernetes.io/name"]
            owner = manifests.get(("Deployment", owned)) or manifests["StatefulSet", owned]
            container = owner["spec"]["template"]["spec"]["containers"][0]
            ports = {port["name"] for port in container["ports"]}
            assert all(port["targetPort"] in ports for port in spec["ports"]), name
            assert spec["selector"].items() <= owner["spec"]["template"]["metadata"]["labels"].items()
        if kind == "HorizontalPodAutoscaler":
            assert ("Deployment", spec["scaleTargetRef"]["name"]) in manifests


def test_the_balancers_of_the_manifests(manifests, binary, tmp_path):
    for name in ("web", "databases"):
        text = manifests["ConfigMap", name]["data"]["evenkeel.toml"]
        # A pod of a StatefulSet, by the service that names it.
        for pod, service in re.findall(r'"([\w-]+)-\d\.([\w-]+):\d+"', text):
            assert pod == service and ("StatefulSet", pod) in manifests
        check_with_secrets(binary, tmp_path, text)


def check_with_secrets(binary, directory, text):
    """The balancer takes a configuration whose secrets lie elsewhere, and which may be in clear inside the cluster."""
    for name in set(re.findall(r"/run/secrets/([\w-]+)", text)):
        (directory / name).write_text("a secret of this test")
    # The pages, as `minigram pages` writes them.
    (directory / "pages/assets").mkdir(parents=True, exist_ok=True)
    check(binary, directory, text.replace("/run/secrets/", f"{directory}/").replace("/srv/pages", f"{directory}/pages"))


def test_the_rules(minigram, program):
    directory = minigram / "observability"
    subprocess.run([program("promtool"), "check", "rules", "minigram-rules.yml"], cwd=directory, check=True)
    subprocess.run([program("promtool"), "test", "rules", "minigram-rules.test.yml"], cwd=directory, check=True)
    described = (directory / "README.md").read_text()
    groups = yaml.safe_load((directory / "minigram-rules.yml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    tests = (directory / "minigram-rules.test.yml").read_text()
    assert alerts and all(f"| `{alert}` |" in described and f"alertname: {alert}" in tests for alert in alerts)


def test_the_dashboard(minigram):
    dashboard = json.loads((minigram / "observability/minigram-dashboard.json").read_text())
    found = [(title, expr) for title, expr in expressions(dashboard) if expr]
    assert len(found) > 20 and all(uses(expr) for _, expr in found)
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
