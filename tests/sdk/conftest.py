"""What tests with client libraries share with those of the sandboxes."""

from tests.sandbox.receiver import receiver
from tests.sandbox.salesforce.client import salesforce

__all__ = ["receiver", "salesforce"]
