"""The histogram of request durations, held against the client library's own."""

import random

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from broker.telemetry.durations import BOUNDS, DurationHistogram


def lines(registry):
    text = generate_latest(registry).decode()
    return sorted(
        line for line in text.splitlines() if not line.startswith("#") and "_created" not in line
    )


def test_it_exposes_what_the_client_library_would():
    own, theirs = CollectorRegistry(), CollectorRegistry()
    durations = DurationHistogram("seconds", "Help.", ("route", "status"), own)
    histogram = Histogram("seconds", "Help.", ["route", "status"], registry=theirs)
    chance = random.Random(7)
    seconds = [*BOUNDS, 0.0, 3600.0, *(chance.expovariate(5) for _ in range(500))]

    for number, each in enumerate(seconds):
        labels = (f"/api/{number % 3}", "2xx")
        durations.labels(*labels).observe(each)
        histogram.labels(*labels).observe(each)

    assert len(lines(own)) == 3 * (len(BOUNDS) + 3)
    assert lines(own) == lines(theirs)
