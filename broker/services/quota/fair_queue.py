"""Round-robin queue across users and, within a user, across that user's lanes."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable

Waiter = asyncio.Future[None]


class FairQueue:
    """Callers waiting for a permit. However many calls of one user wait, users take turns of one
    call each; of one user's turns, each of the user's lanes (API keys, say) has its part.
    """

    def __init__(self) -> None:
        self._users: OrderedDict[Hashable, OrderedDict[Hashable, deque[Waiter]]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def users(self) -> int:
        """How many users wait."""
        return len(self._users)

    def ahead_of(self, user: Hashable, lane: Hashable = None) -> int:
        """How many permits go to others before a new call of this user in this lane."""
        lanes = self._users.get(user, OrderedDict())
        own = len(lanes.get(lane, ()))
        own += sum(min(len(each), own + 1) for name, each in lanes.items() if name != lane)
        return own + sum(
            min(sum(map(len, others.values())), own + 1)
            for name, others in self._users.items()
            if name != user
        )

    def join(self, user: Hashable, lane: Hashable = None) -> Waiter:
        """Enqueue a call; the future is done when the call has its permit."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        lanes = self._users.setdefault(user, OrderedDict())
        lanes.setdefault(lane, deque()).append(waiter)
        self._length += 1
        return waiter

    def leave(self, user: Hashable, lane: Hashable, waiter: Waiter) -> None:
        """Remove a call that gives up waiting."""
        lanes = self._users.get(user, OrderedDict())
        calls = lanes.get(lane)
        if calls is None or waiter not in calls:
            return
        calls.remove(waiter)
        self._length -= 1
        self._remove_empty(user, lane)

    def serve(self) -> bool:
        """Give a permit to the next call in turn; whether there was one to take it."""
        while self._users:
            user, lanes = next(iter(self._users.items()))
            lane, calls = next(iter(lanes.items()))
            waiter = calls.popleft()
            self._length -= 1
            self._users.move_to_end(user)
            lanes.move_to_end(lane)
            self._remove_empty(user, lane)
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    def _remove_empty(self, user: Hashable, lane: Hashable) -> None:
        lanes = self._users[user]
        if not lanes[lane]:
            del lanes[lane]
        if not lanes:
            del self._users[user]
