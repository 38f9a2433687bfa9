"""What is known of a proxied call while it goes on."""

import time
from dataclasses import dataclass, field
from uuid import UUID

from broker.domain.model import Connection


@dataclass(slots=True)
class CallTrace:
    """One call: who made it, which connection it used, and its outcome.

    `Forwarding` owns it and writes its end; on the way the app and connection and each further
    attempt are recorded in it. `target` stays what the caller sent. Until `app_id` is
    known there is nothing to log. `at` is wall-clock time.
    """

    workspace_id: UUID
    key_id: UUID
    user_ref: str
    request_id: str
    method: str
    target: str
    at: float = field(default_factory=time.time, init=False)
    app_id: UUID | None = None
    provider: str = ""
    connection_id: UUID | None = None
    status: int = 0
    error: str | None = None
    bytes: int = 0
    ms: int = 0
    retries: int = 0
    renewed: bool = False
    provider_request_id: str | None = None

    def belongs_to(self, connection: Connection) -> None:
        """The call is one of this connection's."""
        self.app_id = connection.app_id
        self.provider = connection.provider
        self.connection_id = connection.id
