"""The rules for Prometheus: that they are tested, find what they ask for, and each alert has its page."""

import re
import subprocess

import pytest
import yaml

from expressions import uses
from vocabulary import Vocabulary


@pytest.fixture(scope="module")
def rules(contrib):
    """All rules."""
    groups = yaml.safe_load((contrib / "prometheus/evenkeel-rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def promtool(program, *arguments, directory):
    """Runs promtool; it must succeed."""
    done = subprocess.run([program("promtool"), *arguments], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_rules_and_scrape_configuration(contrib, program):
    promtool(program, "check", "config", "prometheus.yml", directory=contrib / "prometheus")


def test_every_alert_fires_when_it_should_and_not_else(contrib, program, rules):
    promtool(program, "test", "rules", "evenkeel-rules.test.yml", directory=contrib / "prometheus")
    cases = yaml.safe_load((contrib / "prometheus/evenkeel-rules.test.yml").read_text())["tests"]
    checks = [check for case in cases for check in case["alert_rule_test"]]
    for alert in (rule["alert"] for rule in rules if "alert" in rule):
        assert any(check["alertname"] == alert and check["exp_alerts"] for check in checks), f"{alert} never fires"


def test_rules_ask_for_what_there_is(rules, everything, root):
    vocabulary = Vocabulary(everything.metrics(), root)
    recorded = {rule["record"] for rule in rules if "record" in rule}
    found = {use for rule in rules for use in uses(rule["expr"]) if use.metric not in recorded}
    assert len(found) > 40
    assert not [why for use in found if (why := vocabulary.lacks(use))]


def test_each_alert_has_its_page_with_a_command(rules, root):
    page = (root / "docs/alerts.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    assert list(sections) == list(alerts), "in the order of the rules"
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{name.lower()}"
        for part in ("**Means:**", "**Do:**"):
            assert part in sections[name], f"{name} lacks {part}"
        assert "`" in sections[name].split("**Do:**")[1], f"{name} names no command and no key"
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_queries_of_the_documentation_find_what_they_ask_for(everything, root):
    vocabulary = Vocabulary(everything.metrics(), root)
    queries = []
    for page in ("operations.md", "monitoring.md", "caching.md", "discovery.md", "layer-4.md", "alerts.md"):
        for quoted in re.findall(r"`([^`\n]*evenkeel_[^`\n]*)`", (root / "docs" / page).read_text()):
            quoted = quoted.replace("\\|", "|")
            if "(" in quoted or " " in quoted or re.fullmatch(r"\w+\{\w+=.*\}", quoted):
                queries.append(quoted)
    assert len(queries) > 30
    wrong = [(query, why) for query in queries for use in uses(query) if (why := vocabulary.lacks(use))]
    assert not wrong
