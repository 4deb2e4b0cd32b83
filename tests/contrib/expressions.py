"""The expressions of dashboards, rules and documentation, parsed: which metrics they ask for, and by which labels."""

import dataclasses
import re

import promql_parser

# What Grafana puts in place of its variables.
VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}
# What Prometheus adds to each sample.
SCRAPED = {"job", "instance"}


@dataclasses.dataclass(frozen=True)
class Use:
    """A metric, a label that an expression selects or groups by (or none), and the value that it must equal (or none)."""

    metric: str
    label: str | None = None
    value: str | None = None


def resolved(expression):
    """The expression without Grafana's variables."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return re.sub(r"\$\w+", ".*", expression)


def uses(expression):
    """What an expression uses; it must parse."""
    return _walk(promql_parser.parse(resolved(expression)))[1]


def _walk(node):
    """The metrics below `node`, and what is used of them."""
    metrics, found = set(), set()
    kind = type(node).__name__
    if kind == "VectorSelector":
        metrics.add(node.name)
        found.add(Use(node.name))
        for matcher in node.matchers.matchers:
            exact = matcher.value if str(matcher.op).endswith("Equal") and "Not" not in str(matcher.op) else None
            found.add(Use(node.name, matcher.name, exact))
        return metrics, found
    for child in _children(node):
        of_child = _walk(child)
        metrics |= of_child[0]
        found |= of_child[1]
    labels = getattr(getattr(node, "modifier", None), "labels", None) if kind == "AggregateExpr" else None
    for label in labels or []:
        found |= {Use(metric, label) for metric in metrics}
    return metrics, found


def _children(node):
    for name in ("expr", "lhs", "rhs", "param", "vector_selector", "vs", "args"):
        child = getattr(node, name, None)
        if isinstance(child, list):
            yield from child
        elif child is not None and not isinstance(child, (str, int, float)):
            yield child


def series_of(metric):
    """The family that a sample belongs to."""
    for suffix in ("_bucket", "_sum", "_count"):
        if metric.endswith(suffix):
            return metric.removesuffix(suffix)
    return metric.removesuffix("_total")
