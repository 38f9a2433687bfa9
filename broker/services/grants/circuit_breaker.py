"""A circuit breaker: fewer requests to a service that fails, until it answers again."""

import time


class CircuitBreaker:
    """Closed it admits every request; after `threshold` failures in a row one request each `pause`
    seconds, until one of them is answered. One breaker belongs to one process.
    """

    def __init__(self, threshold: int = 5, pause: float = 1.0) -> None:
        self._threshold = threshold
        self._pause = pause
        self.failures = 0
        self._next_at = 0.0

    @property
    def open(self) -> bool:
        """Whether the service counts as down."""
        return self.failures >= self._threshold

    def admits(self) -> bool:
        """Whether a request may be sent now. While open, a yes takes the one that may be sent."""
        if not self.open:
            return True
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + self._pause
        return True

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, retry_after: float = 0.0) -> None:
        """Count a failure; `retry_after` is the pause in seconds that the service asked for."""
        self.failures += 1
        self._next_at = time.monotonic() + max(self._pause, retry_after)
