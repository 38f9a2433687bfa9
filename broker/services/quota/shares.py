"""How the processes of an installation divide a quota: what one should take or give back."""

import math
import random

from broker.stores.proxy.quotas import OtherHolders

UNEVEN = 0.1
"""How far a share may be off the fair one before permits move."""


def fair_share(size: int, users: int, others: OtherHolders) -> float:
    """The permits that a process with so many users may hold while others wait."""
    if not others.waiting:
        return float(size)
    return size * users / max(1, users + others.users)


def lends_all(size: int, users: int, others: OtherHolders) -> bool:
    """Whether the processes that wait have less than their fair share: then no permit stays free
    elsewhere.
    """
    return others.waiting_permits < size - fair_share(size, users, others)


def idle_reserve(in_use: int, *, lend_all: bool) -> int:
    """The permits that a process without a queue keeps while others wait: what it uses, and a few
    for its next calls unless it lends all.
    """
    return in_use if lend_all else in_use + 1 + in_use // 8


def rebalance(
    size: int, held: int, in_use: int, need: int, users: int, others: OtherHolders
) -> int:
    """How many permits to take (up to what is left), or, negative, to give back.

    While no other process waits, one in need takes half of what is left, so that a few calls cost
    one exchange and the next process finds some. While others wait, each goes towards its fair
    share, a user counting the same wherever it calls, and a process that needs less lends the rest.
    """
    left = size - others.permits - held
    if left < 0:  # the quota has shrunk, or a share had expired
        # Half of it at most, as if taken now: the next process must not have to ask for it.
        kept = max(in_use + need, (held + left + 1) // 2)
        return -min(held, max(-left, held - kept))
    if not others.waiting:
        return min(left, max(need, (left + 1) // 2)) if need else 0
    fair = fair_share(size, users, others)
    if not need:
        reserve = idle_reserve(in_use, lend_all=lends_all(size, users, others))
        return min(0, min(reserve, math.ceil(fair)) - held)
    surplus = held - fair
    if fair < 1 and held:
        return -held if random.random() > fair else 1 - held  # noqa: S311  # take turns
    if surplus > 1 + fair * UNEVEN:
        return -int(surplus)
    return max(0, min(left, need, math.ceil(fair) - held))
