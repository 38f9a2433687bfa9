"""What the tests of every sandbox share."""

from tests.sandbox.receiver import receiver

__all__ = ["receiver"]
