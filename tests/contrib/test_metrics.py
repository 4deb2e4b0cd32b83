"""`/metrics` of a process with all features in use, as other people's readers see it."""

import re
import subprocess

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

# These need databases that replicate, and a cache that is full.
NOT_SEEN = {"evenkeel_backend_lag_bytes", "evenkeel_cache_evictions"}


def test_promtool_finds_nothing(everything, program):
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=everything.metrics(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_openmetrics_page_is_openmetrics(everything):
    families = list(openmetrics.text_string_to_metric_families(everything.metrics("application/openmetrics-text")))
    names = {family.name for family in families}
    assert {"evenkeel_requests", "evenkeel_connections", "evenkeel_request_duration_seconds"} <= names
    plain = {family.name for family in text_string_to_metric_families(everything.metrics())}
    assert names == plain


def test_every_metric_has_been_seen(everything):
    families = list(text_string_to_metric_families(everything.metrics()))
    assert {family.name for family in families if not family.samples} <= NOT_SEEN


def test_labels_say_what_the_reference_says(everything, root):
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", (root / "docs/metrics.md").read_text(), re.M)
    assert len(rows) > 80
    families = {family.name: family for family in text_string_to_metric_families(everything.metrics())}
    for name, kind, labels in rows:
        family = families[name.removesuffix("_total") if kind == "counter" else name]
        assert family.type == kind, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(re.findall(r"`(\w+)`", labels)), sample
