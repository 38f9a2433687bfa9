"""A clock for sandboxes that tests move."""


class Clock:
    """A time in seconds that changes only when a test sets `at`."""

    def __init__(self, at=1_795_996_800.0):
        self.at = at

    def __call__(self):
        return self.at
