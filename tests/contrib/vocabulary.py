"""Which metrics, labels and values a real process has, to hold expressions against."""

import re

from prometheus_client.parser import text_string_to_metric_families

from expressions import SCRAPED, series_of


class Vocabulary:
    """What `/metrics` of a process said, what docs/metrics.md declares, and the words of label values in the code."""

    def __init__(self, page, root):
        self.families = {family.name: family for family in text_string_to_metric_families(page)}
        self.names = set(self.families)
        reference = (root / "docs/metrics.md").read_text()
        self.declared = {
            name.removesuffix("_total"): set(re.findall(r"`(\w+)`", labels))
            for name, labels in re.findall(r"^\| `(\w+)` \| \w+ \| (.*?) \|", reference, re.M)
        }
        sources = [*(root / "crates/observe/src").rglob("*.rs"), *(root / "crates/core/src/health").glob("*.rs")]
        self.words = set(re.findall(r'"(\w*)"', "".join(file.read_text() for file in sources)))

    def family(self, metric):
        """The name of a sample's family."""
        return metric if metric in self.names else series_of(metric)

    def lacks(self, use):
        """Why `use` finds nothing; `None` if it may find something."""
        family = self.families.get(self.family(use.metric))
        if use.metric == "up":
            return None
        if family is None:
            return f"there is no metric {use.metric}"
        counter = family.type == "counter"
        if counter != use.metric.endswith("_total"):
            return f"{use.metric} is not how the samples of a {family.type} are called"
        labels = set().union(*(sample.labels for sample in family.samples)) or self.declared[family.name]
        if use.label and use.label not in labels | SCRAPED:
            return f"{use.metric} has no label {use.label}"
        if use.value and use.label not in SCRAPED:
            seen = {sample.labels.get(use.label) for sample in family.samples}
            if use.value not in seen | self.words:
                return f"{use.label} of {use.metric} is never {use.value}"
        return None
