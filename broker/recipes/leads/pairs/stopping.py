"""The end of a run whose pair was written too often."""

from broker.domain.runs import PermanentFailure
from broker.errors import InputRefused
from broker.recipes.leads.pairs.work import Work


class PairStopped(Exception):
    """The pair was written too often within an hour."""


def stopped(work: Work, contact_id: str, writes: int) -> PermanentFailure:
    """How the run ends that would have written once too often. A retry is a person's decision to go
    on, which the checkpoint says then.
    """
    kept = {} if work.attempt is None else work.attempt.checkpoint
    return PermanentFailure(
        InputRefused(
            f"The pair of contact {contact_id} was written {writes} times within an hour, which "
            "looks like a loop with another program: it is stopped. Find out what else writes "
            "these records, then retry this run to continue."
        ),
        {**kept, "resumed": True},
    )
