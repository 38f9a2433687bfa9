"""How many connections to providers there may be at once, whatever their origins."""

from collections.abc import Callable


class NotConnected(OSError):
    """There is no connection, so nothing was sent."""


class ConnectionBudget:
    """How many connections there may be, whatever their origins."""

    def __init__(self, limit: int, make_room: Callable[[], None]) -> None:
        """`make_room` is called when there are as many as there may be; it may end an idle one."""
        self.limit = limit
        self.in_use = 0
        self._make_room = make_room

    def reserve(self) -> None:
        """Count one more. Raises NotConnected where there is no room for it."""
        if self.in_use >= self.limit:
            self._make_room()
        if self.in_use >= self.limit:
            raise NotConnected(f"All {self.limit} connections to providers are in use.")
        self.in_use += 1

    def release(self) -> None:
        """Count one less."""
        self.in_use -= 1
