"""Whose turn it is: users of one account wait in a round, each with a line of their own."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable


class FairQueue:
    """Callers who wait for a place. However long one user's line is, every user is served in
    turn, one call each.
    """

    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def users(self) -> int:
        """How many users wait."""
        return len(self._queues)

    def ahead_of(self, user: Hashable) -> int:
        """How many places go to others and to the user before a new call of the user's."""
        mine = len(self._queues.get(user, ()))
        return mine + sum(
            min(len(line), mine + 1) for whose, line in self._queues.items() if whose != user
        )

    def join(self, user: Hashable) -> "asyncio.Future[None]":
        """Stand in line; the future is done when a place was given."""
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(user, deque()).append(ticket)
        self._length += 1
        return ticket

    def leave(self, user: Hashable, ticket: "asyncio.Future[None]") -> None:
        """Give up waiting."""
        line = self._queues.get(user)
        if line is None or ticket not in line:
            return
        line.remove(ticket)
        self._length -= 1
        if not line:
            del self._queues[user]

    def serve(self) -> bool:
        """Give a place to whoever's turn it is; whether somebody took it."""
        while self._queues:
            user, line = next(iter(self._queues.items()))
            ticket = line.popleft()
            self._length -= 1
            if line:
                self._queues.move_to_end(user)
            else:
                del self._queues[user]
            if not ticket.done():
                ticket.set_result(None)
                return True
        return False
