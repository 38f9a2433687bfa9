"""How the processes of an installation part a quota: what one should take or give back."""

import math
import random

from broker.stores.proxy.quotas import OtherHolders

UNEVEN = 0.1
"""How far a share may be off the fair one before places change hands."""


def fair_share(size: int, users: int, others: OtherHolders) -> float:
    """The places that a process with so many users may hold while others wait."""
    if not others.waiting:
        return float(size)
    return size * users / max(1, users + others.users)


def rebalance(
    size: int, held: int, in_use: int, need: int, users: int, others: OtherHolders
) -> int:
    """How many places to take (up to what is there), or, negative, to give back.

    Nobody else waits: whoever needs takes half of what is left, so that a few calls cost one
    question and the next process finds something. Others wait: each goes towards its fair share, a
    user counting the same wherever it calls, and who needs less lends the rest.
    """
    left = size - others.permits - held
    if left < 0:  # the quota has shrunk, or a share had lapsed
        return -min(held, -left)
    if not others.waiting:
        return min(left, max(need, (left + 1) // 2)) if need else 0
    fair = fair_share(size, users, others)
    if not need:
        return min(0, min(in_use + 1 + in_use // 8, math.ceil(fair)) - held)
    surplus = held - fair
    if fair < 1 and held:
        return -held if random.random() > fair else 1 - held  # noqa: S311  # by turns
    if surplus > 1 + fair * UNEVEN:
        return -int(surplus)
    return max(0, min(left, need, math.ceil(fair) - held))
