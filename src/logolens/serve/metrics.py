"""What the service tells Prometheus of itself."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from logolens.serve.refusal import Refusal

__all__ = ["Metrics"]

_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which several processes of the service share their figures, through files in the folder that it names."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The figures of one process; with several, each gives those of all."""

    type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "logolens_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "logolens_request_seconds", "Seconds from a request's head to the end of its answer.", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.stages = Histogram(
            "logolens_stage_seconds",
            "Seconds that an image took in each stage: queue, decode, batch (waiting for the network), network, evidence; and a "
            "request in body, parse and fetch.",
            ["stage"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.views = Histogram(
            "logolens_image_views", "Views of an image that went through the network.",
            buckets=(1, 2, 4, 6, 8, 10, 12, 16, 24, 32, 64), registry=registry,
        )  # fmt: skip
        self.images = Counter(
            "logolens_images",
            "Images by outcome: answered, unreadable, dropped, failed.",
            ["outcome"],
            registry=registry,
        )
        self.batches = Histogram(
            "logolens_batch_images", "Images that went through the network side by side.",
            buckets=(1, 2, 3, 4, 6, 8, 12, 16, 32, 64), registry=registry,
        )  # fmt: skip
        self.rejected = Counter(
            "logolens_rejected",
            "Requests that were turned away, by reason.",
            ["reason"],
            registry=registry,
        )
        self.reloads = Counter(
            "logolens_reloads", "Bundles that were loaded, or could not be.", ["bundle", "outcome"], registry=registry
        )
        self.in_flight = self._gauge("logolens_in_flight_requests", "Requests for an answer that are taken on.")
        self.in_flight_bytes = self._gauge("logolens_in_flight_bytes", "Bytes of bodies that are held.")
        self.waiting = self._gauge("logolens_queue_images", "Images that wait for the network.")

    def _gauge(self, name: str, help: str) -> Gauge:
        return Gauge(name, help, registry=self._registry, multiprocess_mode="livesum")

    def refused(self, refusal: Refusal) -> None:
        """Count a request that was refused before it was one."""
        self.requests.labels("other", str(refusal.status)).inc()
        self.rejected.labels(refusal.reason or "protocol").inc()

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        if _MULTIPROCESS not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
