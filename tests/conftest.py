"""The broker as its callers meet it, on a real Postgres, against a sandbox of every vendor."""

import gc

# In the order of their imports: what another one has imported cannot have its asserts rewritten.
pytest_plugins = [
    "tests.fixtures.ports",
    "tests.fixtures.logs",
    "tests.fixtures.postgres",
    "tests.fixtures.pooler",
    "tests.fixtures.sandboxes",
    "tests.fixtures.receivers",
    "tests.fixtures.brokers",
    "tests.fixtures.kyb",
    "tests.fixtures.enrichment",
    "tests.fixtures.processes",
    "tests.fixtures.woocommerce",
]


def pytest_collection_finish() -> None:
    """What was imported stays; looking at it again and again is a tenth of the time."""
    gc.collect()
    gc.freeze()
