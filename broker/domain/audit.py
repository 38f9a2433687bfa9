"""Value types for the audit log: who did what, from where."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

SHELL = "operator"
"""The actor of the command line: somebody with a shell on the installation."""

UNKNOWN = "unknown"
"""The actor of a refused sign-in with a secret that does not belong to any key."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request came from: `via` is api, console, shell or broker (by itself), `address` the
    peer's IP address, or the user and host of a shell.
    """

    via: str
    address: str | None = None


BY_ITSELF = Source("broker")

SOURCE: ContextVar[Source] = ContextVar("audit source", default=BY_ITSELF)
"""The source of what the current task does; set where a caller is recognised."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of a workspace's log. `actor` is a key's id, `operator` (the shell), `install` (a
    user's consent) or another word for what the broker did by itself; `actor_name` is the key's.
    """

    sequence: int
    at: datetime
    actor: str
    actor_name: str | None
    via: str
    address: str | None
    action: str
    app_slug: str | None
    user_ref: str | None
    detail: str | None
    hash: bytes


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """Whether a workspace's chain of entries holds: `broken` is the first sequence that does not,
    `head` the hash of the last entry, which proves all before it to whoever has noted it.
    """

    entries: int
    broken: int | None
    head: bytes
