"""The Grafana dashboard: its form, and that each expression finds what it asks for in a real process."""

import json

import pytest

from vocabulary import Vocabulary
from expressions import uses


@pytest.fixture(scope="module")
def dashboard(contrib):
    """As Grafana imports it."""
    return json.loads((contrib / "grafana/evenkeel.json").read_text())


@pytest.fixture(scope="module")
def vocabulary(everything, root):
    """Names, labels and values that there are."""
    return Vocabulary(everything.metrics(), root)


def expressions(dashboard):
    """Each with the title of its panel."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            selector = variable["definition"].removeprefix("label_values(").rsplit(",", 1)[0]
            yield variable["name"], selector


def test_each_expression_parses_and_finds_its_names_and_labels(dashboard, vocabulary):
    found = list(expressions(dashboard))
    assert len(found) > 80
    wrong = [(title, why) for title, expr in found for use in uses(expr) if (why := vocabulary.lacks(use))]
    assert not wrong


def test_every_metric_that_matters_is_on_it(dashboard, vocabulary):
    shown = {vocabulary.family(use.metric) for _, expr in expressions(dashboard) for use in uses(expr)}
    missing = {name for name in vocabulary.names if name not in shown}
    # Said by others: by the counters beside them, or by those that are by protocol.
    assert missing <= {
        "evenkeel_extra_tries",
        "evenkeel_connections_accepted",
        "evenkeel_compressed_responses",
        "evenkeel_compress_reused",
        "evenkeel_compress_reused_saved_bytes",
        "evenkeel_cache_stored",
        "evenkeel_cache_past_parents",
        "evenkeel_cache_purged_objects",
        "evenkeel_backend_up",
        "evenkeel_discovery_last_success_timestamp_seconds",
        "evenkeel_redis_up",
        "evenkeel_metrics_folded",
        "process_virtual_memory_bytes",
        "process_threads",
        # The flight recorder is read by `evenkeel why`; its memory is bounded.
        "evenkeel_recorder_kept",
        "evenkeel_recorder_dropped",
        "evenkeel_recorder_records",
        "evenkeel_recorder_bytes",
        "evenkeel_recorder_limit_bytes",
    }


def test_panels_fill_the_grid_and_do_not_overlap(dashboard):
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_says_what_it_shows_and_in_which_unit(dashboard):
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids) and dashboard["uid"] == "evenkeel" and "id" not in dashboard
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", "it works with any Prometheus"
