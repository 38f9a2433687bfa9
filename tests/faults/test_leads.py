"""Contacts and leads through storms of edits on both sides, with kill -9, lost answers, repeats, ended
sessions and two replicas: both sides end equal. `make storms` runs as many as one likes.
"""

import os

import pytest

from tests.drills import sized
from tests.faults.lead_storm import BATCH, PAIRS, Storm
from tests.fixtures.leads import leads
from tests.flows.providers.conftest import orgs, salesforce_sandbox

__all__ = ["leads", "orgs", "salesforce_sandbox"]

pytestmark = pytest.mark.drill

DIRECTIONS = ("both", "to-salesforce", "to-hubspot")
SOURCE = {"to-salesforce": "hubspot", "to-hubspot": "salesforce"}


def storms():
    """Direction, seed and number of edits of each storm: what LEAD_STORM names, as `both:7:10000`."""
    if named := os.environ.get("LEAD_STORM"):
        direction, seed, edits = named.split(":")
        return [(direction, int(seed), int(edits))]
    return [(each, 0, sized(10_000, 500)) for each in DIRECTIONS[: sized(3, 1)]]


@pytest.mark.parametrize(("direction", "seed", "edits"), storms())
async def test_a_storm_of_edits_settles_with_both_sides_equal_and_at_most_two_writes_an_edit(
    leads, start_process, database, figures, direction, seed, edits
):
    """No edit is overwritten without a word, and no grant is lost by two refreshes at once."""
    storm = Storm(leads, start_process, database, seed)
    await storm.begin(direction)
    for batch in range(edits // BATCH):
        await storm.go_on(batch)
    await storm.settle()

    states = dict(await database.fetch("SELECT state, count(*) FROM recipe_run GROUP BY state"))
    stopped = await database.fetchval("SELECT count(*) FROM lead_pair WHERE stopped_at IS NOT NULL")
    unreported = await storm.unreported()
    figures(
        {
            "direction": direction,
            "seed": seed,
            "pairs": PAIRS,
            "runs": states,
            "stopped": stopped,
            "unreported": len(unreported),
            "refreshes": leads.orgs.refreshes,
            "second uses of a refresh token": leads.orgs.world.counters.get("reuses", 0),
            **storm.counts,
        }
    )
    source = SOURCE.get(direction)
    assert [
        each
        for each in storm.differing()
        if source is None or storm.edits.last_side.get(each) in {None, source}
    ] == []
    assert source is None or storm.counts[f"writes to {source}"] == 0
    assert unreported == []
    assert set(states) == {"done"}
    assert (stopped, len(leads.contacts()), len(leads.leads())) == (0, PAIRS, PAIRS)
    assert storm.writes <= 2 * storm.counts["edits"]
    # A process that died with Salesforce's answer has lost the new token: all that can be done is to
    # try the old one. No two living processes ever refresh at once.
    lost = storm.counts["grants lost with a killed process"]
    assert leads.orgs.world.counters.get("reuses", 0) <= lost
