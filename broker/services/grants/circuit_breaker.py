"""A circuit breaker: asks less of a service that fails, and notices when it answers again."""

import time


class CircuitBreaker:
    """Closed it lets everything through; after `threshold` failures in a row one question each
    `pause` seconds, until one of them is answered. One breaker belongs to one process.
    """

    def __init__(self, threshold: int = 5, pause: float = 1.0) -> None:
        self._threshold = threshold
        self._pause = pause
        self._failures = 0
        self._next_at = 0.0

    @property
    def open(self) -> bool:
        """Whether the service counts as down."""
        return self._failures >= self._threshold

    def admits(self) -> bool:
        """Whether to ask now. While open, a yes takes the one question that may be asked."""
        if not self.open:
            return True
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + self._pause
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, retry_after: float = 0.0) -> None:
        """Count a failure; `retry_after` is for how many seconds the service asks to be left."""
        self._failures += 1
        self._next_at = time.monotonic() + max(self._pause, retry_after)
