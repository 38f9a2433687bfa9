"""All sandboxes at once, each on a port of its own: what `broker sandbox` runs."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from broker.sandbox.core.directory import Entry
from broker.sandbox.suite.starters import STARTERS, Options, Started

NEEDED = {
    "shopify": ("graphql", "graphql-core is not installed; pip install 'hubspot-broker[sandbox]'")
}


@dataclass(slots=True)
class Suite:
    """The sandboxes that run. `missing` says, by vendor, why one does not and what to install."""

    started: dict[str, Started] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def entries(self) -> list[Entry]:
        """Their entries, in the order of their ports."""
        return [each.entry for each in self.started.values()]

    @property
    def settings(self) -> dict[str, str]:
        """The broker's settings that lead to all of them."""
        return {name: value for each in self.entries for name, value in each.settings.items()}

    def to_json(self) -> dict[str, Any]:
        """The suite as a JSON object."""
        return {
            "sandboxes": [each.to_json() for each in self.entries],
            "settings": self.settings,
            "missing": self.missing,
        }


@contextlib.asynccontextmanager
async def running(
    host: str, port: int, redirects: list[str], *, data: Path | None = None, seed: bool = True
) -> AsyncIterator[Suite]:
    """Run HubSpot at `port`, the others at the ports after it in the order of `STARTERS`, and
    Salesforce's two login hosts at the last two. Port 0 takes free ones.

    `redirects` are the redirect URLs of the registered apps; one that ends in `/*` stands for all
    URLs below it. `data` is a folder for HubSpot's data, which then outlives restarts; the others
    save nothing. `seed` fills accounts that are empty. Raises OSError when a port is taken,
    ValueError when the folder holds data of another format.
    """
    suite = Suite()
    ports = [port + number if port else 0 for number in range(len(STARTERS) + 2)]
    async with contextlib.AsyncExitStack() as stack:
        for number, (vendor, start) in enumerate(STARTERS.items()):
            module, problem = NEEDED.get(vendor, ("", ""))
            if module and find_spec(module) is None:
                suite.missing[vendor] = problem
                continue
            login_ports = (ports[-2], ports[-1])
            started = await start(Options(host, ports[number], redirects, seed, login_ports, data))
            stack.push_async_callback(started.close)
            suite.started[vendor] = started
        suite.started["hubspot"].running.sandbox.directory = suite.entries
        yield suite
