"""What an error of Postgres or of the way to it means: for operators a line that says what to do,
for the broker whether waiting can help.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from broker.errors import Busy

UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
    TimeoutError,
)
"""What is raised when Postgres is away, frozen, full or read-only, or ended this session."""

CANNOT_CONNECT = (asyncpg.PostgresError, *UNAVAILABLE)

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
)
"""The session is gone; another one may work."""

READ_ONLY = "read-only"
FULL = "full"
LOCKED = "locked"
TIMEOUT = "timeout"
LOST_SESSION = "lost"
SESSIONS = "too-many-sessions"


def reason_of(error: BaseException) -> str:
    """One word for logs and readiness."""
    kinds: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
        (asyncpg.ReadOnlySQLTransactionError, READ_ONLY),
        (asyncpg.TooManyConnectionsError, SESSIONS),
        (asyncpg.InsufficientResourcesError, FULL),
        ((asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError), LOCKED),
        ((asyncpg.QueryCanceledError, TimeoutError), TIMEOUT),
        (LOST, LOST_SESSION),
    )
    for kind, reason in kinds:
        if isinstance(error, kind):
            return reason
    return type(error).__name__


def explain(error: BaseException) -> str:
    """What went wrong and what to do, in one line that holds no password."""
    for kind, advice in _ADVICE:
        if isinstance(error, kind):
            return f"{_own_words(error)}: {advice}" if _own_words(error) else advice
    words = _own_words(error) or "the connection failed"
    state = getattr(error, "sqlstate", None)
    return f"{words} (SQLSTATE {state})" if state else words


@contextmanager
def explained(variable: str) -> Iterator[None]:
    """Raise Busy with the explanation for what goes wrong on the way to Postgres in the block."""
    try:
        yield
    except CANNOT_CONNECT as error:
        raise Busy(f"{variable}: {explain(error)}") from error


def _own_words(error: BaseException) -> str:
    """The error's text without what only a developer understands."""
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched | TimeoutError):
        return ""
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        text = str(error)
        if "no encryption" in text:
            return "Postgres accepts only encrypted connections"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Postgres' certificate is not trusted ({error.verify_message})"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at the host and port"
    if isinstance(error, OSError) and not str(error).startswith("PostgreSQL") and error.strerror:
        return error.strerror
    return " ".join(str(error).split())


_ADVICE: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (asyncpg.InvalidPasswordError, "check the user and password"),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "check the user, pg_hba.conf, and whether sslmode=require is needed",
    ),
    (asyncpg.InvalidCatalogNameError, "create the database, or check its name"),
    (
        asyncpg.TooManyConnectionsError,
        "lower BROKER_DATABASE_POOL_SIZE, or raise max_connections or the role's limit",
    ),
    (asyncpg.CannotConnectNowError, "Postgres is starting or stopping; try again"),
    (asyncpg.DiskFullError, "make room on the database's disk"),
    (
        asyncpg.ReadOnlySQLTransactionError,
        "this server is a standby or write-protected: use the primary's address, or make room",
    ),
    (
        asyncpg.InsufficientPrivilegeError,
        "grant it to the role (`broker migrate` needs CREATE on the schema)",
    ),
    (
        asyncpg.TargetServerAttributeNotMatched,
        "none of the hosts fits target_session_attrs: is the primary among them?",
    ),
    (asyncpg.ProtocolViolationError, "a pooler or proxy refuses the connection's parameters"),
    (
        asyncpg.UndefinedObjectError,
        "a parameter under `options` is unknown to this Postgres",
    ),
    (
        (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError),
        "a pooler shares sessions between transactions; set BROKER_MIGRATION_DATABASE_URL",
    ),
    (
        ssl.SSLCertVerificationError,
        "name its authority with sslrootcert=FILE, or use its full name",
    ),
    (ssl.SSLError, "the TLS handshake failed; check sslmode and what is at that port"),
    (ConnectionRefusedError, "check the address, and that Postgres runs"),
    (TimeoutError, "no answer in time; check the host and port, and firewalls on the way"),
    (ConnectionError, "check the address, and sslmode if the server does not speak TLS"),
    (OSError, "check the host, port and socket"),
)
