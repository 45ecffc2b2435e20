"""Prometheus: what the gateway counts, and vLLM's own metrics with the replica they come from.

Labels are names from this code only: no key, no text, no address of a client.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The gateway's counters; one registry an application."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        self.requests = Counter("skinr1_requests", "Requests answered.", ["route", "method", "status"], registry=own)
        self.seconds = Histogram("skinr1_request_seconds", "Time to the end.", ["route"], registry=own, buckets=SECONDS)
        self.running = Gauge("skinr1_requests_running", "Requests under way.", registry=own)
        self.refused = Counter("skinr1_refused", "Requests refused, by reason.", ["code"], registry=own)
        self.reports = Counter("skinr1_reports", "Reports given.", ["outcome"], registry=own)
        self.batch = Counter("skinr1_batch_cases", "Cases of batch jobs finished.", ["outcome"], registry=own)
        self.up = Gauge("skinr1_upstream_up", "Whether a vLLM answers.", ["replica"], registry=own)
        self.starts = Gauge("skinr1_upstream_starts", "Times a vLLM came up.", ["replica"], registry=own)

    def text(self, upstream: Iterable[tuple[int, str]]) -> bytes:
        """The exposition of everything.

        Args:
            upstream: (number of the replica, its exposition).
        """
        merged: dict[str, Metric] = {}
        for number, exposition in upstream:
            for family in text_string_to_metric_families(exposition):
                into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    labels = {**sample.labels, "replica": str(number)}
                    into.add_sample(sample.name, labels, sample.value, sample.timestamp)
        theirs = CollectorRegistry()
        theirs.register(_Collected(merged.values()))
        return generate_latest(self.registry) + generate_latest(theirs)


class _Collected:
    """Families as a collector."""

    def __init__(self, families: Iterable[Metric]):
        self.families = list(families)

    def collect(self) -> Iterator[Metric]:
        yield from self.families
