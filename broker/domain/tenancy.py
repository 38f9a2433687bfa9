"""For which workspace a task works."""

from contextvars import ContextVar
from uuid import UUID

WORKSPACE: ContextVar[UUID | None] = ContextVar("workspace that is served", default=None)
"""The workspace of the current request; set where a caller or an inbound address is recognised."""
