"""A database URL: which of libpq's parameters are taken, and how a connection is made from it.

The driver hands every name that it does not know to the server, which refuses the connection in
words that name no setting; so each name is judged here. Names and values are those of "Parameter
Key Words" in the chapter on libpq of Postgres 18's manual.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

CONNECT_TIMEOUT_S = 5.0
KEEPALIVES = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10}
"""TCP keepalive unless the URL says otherwise: seconds until a probe, and between two."""

DRIVER = {
    *("host", "port", "user", "password", "passfile", "dbname", "service"),
    *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    *("krbsrvname", "gsslib"),
}
"""What asyncpg understands as libpq does."""

SERVER = {"application_name", "fallback_application_name", "options"}
NUMBERS = {
    *("connect_timeout", "tcp_user_timeout"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
}

HARMLESS = {
    "channel_binding": {"disable", "prefer"},
    "client_encoding": {"utf8", "utf-8", "auto"},
    "gssencmode": {"disable", "prefer"},
    "gssdelegation": {"0"},
    "load_balance_hosts": {"disable"},
    "max_protocol_version": {"3.0", "3.2", "latest"},
    "min_protocol_version": {"3.0"},
    "replication": {"0", "false", "no", "off"},
    "requiressl": {"0"},
    "sslcertmode": {"allow"},
    "sslcompression": {"0"},
    "sslsni": {"1"},
}
"""Parameters that the driver lacks, with the values that ask for nothing it does not do anyway."""

CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "primary"),
}
FILES = ("sslcert", "sslkey", "sslrootcert", "sslcrl", "passfile")
HINTS = {
    "connection_limit": "set BROKER_DATABASE_POOL_SIZE instead",
    "hostaddr": "write the address as the host",
    "pgbouncer": "remove it: a pooler is noticed without it",
    "pool_size": "set BROKER_DATABASE_POOL_SIZE instead",
    "schema": "use options=-csearch_path%3DNAME instead",
    "search_path": "use options=-csearch_path%3DNAME instead",
}


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where and how to reach Postgres. Its text holds the password and is never shown."""

    dsn: str = field(repr=False)
    timeout_s: float = CONNECT_TIMEOUT_S
    settings: Mapping[str, str] = field(default_factory=dict)
    sockets: Mapping[str, int] = field(default_factory=lambda: KEEPALIVES)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> "DatabaseUrl":
        """Read a URL. Raises ValueError, which names the parameter and no secret."""
        try:
            parts = urlsplit(text.strip())
            _ = parts.port if "," not in parts.netloc else None
        except ValueError:
            raise ValueError(f"cannot be read as a URL: {_UNESCAPED}") from None
        if parts.scheme not in {"postgresql", "postgres"}:
            raise ValueError("must be a URL: postgresql://user:password@host:5432/database")
        if parts.netloc.count("@") > 1 or "@" in parts.path or parts.fragment:
            raise ValueError(_UNESCAPED)
        values = _parameters(parts.query)
        _check(values)
        settings = {name: values[name] for name in SERVER & values.keys()}
        fallback = settings.pop("fallback_application_name", None)
        if fallback is not None:
            settings.setdefault("application_name", fallback)
        numbers = {name: _number(name, values[name]) for name in NUMBERS & values.keys()}
        timeout = numbers.pop("connect_timeout", 0)
        tls = _system_trust(values) if values.get("sslrootcert") == "system" else None
        driver = {name: values[name] for name in values if name in DRIVER}
        if tls is not None:
            driver = {name: driver[name] for name in driver if not name.startswith("ssl")}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in driver.items())
        dsn = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
        return cls(dsn, float(timeout) or CONNECT_TIMEOUT_S, settings, KEEPALIVES | numbers, tls)

    def arguments(self, name: str) -> dict[str, Any]:
        """The arguments of `asyncpg.connect` for a connection that shows as `name`."""
        found: dict[str, Any] = {
            "dsn": self.dsn,
            "timeout": self.timeout_s,
            "server_settings": {"application_name": name, **self.settings},
        }
        if self.tls is not None:
            found["ssl"] = self.tls
        return found

    async def connect(self, name: str, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection outside any pool. Raises what `failures.explain` explains."""
        return await self.open(**self.arguments(name), **options)

    async def open(self, *args: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """`asyncpg.connect`, with the keepalive of this URL: a peer that is gone is noticed."""
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(*args, **options)
        # There is no public way to the socket.
        transport: asyncio.Transport = getattr(connection, "_transport")  # noqa: B009
        keep_alive(transport.get_extra_info("socket"), self.sockets)
        return connection


_UNESCAPED = (
    "the user name or password holds a character that must be escaped: "
    "@ as %40, / as %2F, # as %23, ? as %3F, : as %3A, % as %25"
)


def _parameters(query: str) -> dict[str, str]:
    """The parameters of a URL's query as libpq reads them: a plus is a plus."""
    found = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"the parameter {unquote(name)!r} has no value")
        found[{"database": "dbname"}.get(name, unquote(name))] = unquote(value)
    return {name: value for name, value in found.items() if value}


def _check(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if name in DRIVER or name in SERVER or name in NUMBERS:
            allowed = CHOICES.get(name)
            if allowed and value not in allowed:
                raise ValueError(f"{name}={value[:40]} is not supported: {', '.join(allowed)} are")
        elif name == "channel_binding" and value == "require":
            if values.get("sslmode") != "verify-full":
                raise ValueError(
                    "channel_binding=require is not supported by this driver: replace it with "
                    "sslmode=verify-full&sslrootcert=system, which proves the server by its "
                    "certificate"
                )
        elif value.lower() not in HARMLESS.get(name, set()):
            hint = HINTS.get(name, "remove it")
            shown = f"{name}={value[:40]}" if name in HARMLESS else f"parameter {name[:40]!r}"
            raise ValueError(f"{shown} is not supported: {hint}")
    for name in FILES:
        path = values.get(name)
        if not path or (name == "sslrootcert" and path == "system"):
            continue
        if not (Path(path).is_file() and os.access(path, os.R_OK)):
            raise ValueError(f"{name} names a file that cannot be read: {path}")


def _number(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 9:
        raise ValueError(f"{name} must be a whole number")
    return int(value)


def _system_trust(values: Mapping[str, str]) -> ssl.SSLContext:
    """TLS by the authorities that this system trusts (`SSL_CERT_FILE` where it is set)."""
    if values.get("sslmode", "verify-full") != "verify-full":
        raise ValueError("sslrootcert=system needs sslmode=verify-full")
    context = ssl.create_default_context()
    if "sslcert" in values:
        try:
            context.load_cert_chain(
                values["sslcert"], values.get("sslkey"), values.get("sslpassword", "")
            )
        except (OSError, ValueError):
            raise ValueError("sslcert and sslkey cannot be used together") from None
    return context


def keep_alive(sock: socket.socket | None, options: Mapping[str, int]) -> None:
    """Have the kernel ask now and then whether the peer of a TCP connection is still there."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    if not options["keepalives"]:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, constant in (
        ("keepalives_idle", "TCP_KEEPIDLE"),
        ("keepalives_interval", "TCP_KEEPINTVL"),
        ("keepalives_count", "TCP_KEEPCNT"),
        ("tcp_user_timeout", "TCP_USER_TIMEOUT"),
    ):
        number = getattr(socket, constant, None)  # not on every system
        if number is not None and options.get(name):
            sock.setsockopt(socket.IPPROTO_TCP, number, options[name])
