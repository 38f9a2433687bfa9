"""What every command starts from: settings, a database, the keys. One clear line when not."""

import asyncio
import getpass
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import typer

from broker.bootstrap.assembly import direct_dsn, open_broker
from broker.bootstrap.components import Components
from broker.domain.audit import SOURCE, Source
from broker.embedded.folder import EmbeddedUnavailable, default_data_dir
from broker.embedded.key import sealing_key
from broker.embedded.server import start
from broker.errors import BrokerError
from broker.providers.catalog import SETTINGS
from broker.sealing import Keyring
from broker.settings import PREFIX, Settings, SettingsProblems
from broker.stores.core import migrations
from broker.stores.core.postgres.connection_url import DatabaseUrl
from broker.stores.core.postgres.failures import explain
from broker.stores.core.seals import WrongSealingKey
from broker.telemetry.log_setup import configure_logging


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a command needs. `embedded` says that the database is the broker's own."""

    settings: Settings
    dsn: str
    keyring: Keyring
    embedded: bool

    @property
    def direct_dsn(self) -> str:
        """Postgres itself, where `dsn` may lead through a pooler."""
        return direct_dsn(self.settings, self.dsn)


def fail(line: str) -> NoReturn:
    """End the command with one line on stderr."""
    print(f"broker: {line}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(1)


def echo(line: str = "") -> None:
    """A line for the person at the terminal."""
    print(line, flush=True)  # noqa: T201


def emit(value: Any, *, as_json: bool, text: str) -> None:
    """The result of a command: one JSON object, or words."""
    echo(json.dumps(value, default=str) if as_json else text)


PARSED: Mapping[str, Callable[[str], object]] = {
    "sealing_keys": Keyring.parse,
    "database_url": DatabaseUrl.parse,
    "migration_database_url": DatabaseUrl.parse,
}
"""Settings that the code that uses them reads."""


def _plain(settings: Settings, name: str) -> str | None:
    value = getattr(settings, name)
    return None if value is None else str(value.get_secret_value())


def read_settings() -> Settings:
    """The settings, or the end of the command with every problem."""
    problems: list[str] = []
    values: Mapping[str, str | None] = os.environ
    try:
        settings = Settings.from_env(os.environ, Path(".env"), SETTINGS)
        values = {f"{PREFIX}{name.upper()}": _plain(settings, name) for name in PARSED}
    except SettingsProblems as found:
        problems = found.problems
    for name, parse in PARSED.items():
        variable = f"{PREFIX}{name.upper()}"
        text = (values.get(variable) or "").strip()
        try:
            if text:
                parse(text)
        except ValueError as error:
            problems.append(f"{variable}: {error}")
    if problems:
        for problem in problems[:-1]:
            print(f"broker: {problem}", file=sys.stderr)  # noqa: T201
        fail(problems[-1])
    return settings


def prepare_runtime(settings: Settings | None = None) -> Runtime:
    """Settings with their database, which is started when it is the embedded one."""
    settings = settings or read_settings()
    keys = settings.sealing_keys
    if settings.database_url is not None and keys is not None:
        return Runtime(
            settings,
            settings.database_url.get_secret_value(),
            Keyring.parse(keys.get_secret_value()),
            embedded=False,
        )
    data = settings.data_dir or default_data_dir()
    try:
        dsn = start(data)
        text = keys.get_secret_value() if keys else sealing_key(data)
    except EmbeddedUnavailable as error:
        fail(str(error))
    return Runtime(settings, dsn, Keyring.parse(text), embedded=True)


@asynccontextmanager
async def open_components(found: Runtime) -> AsyncIterator[Components]:
    """A broker, assembled; the embedded database is brought up to date first."""
    settings = found.settings
    if found.embedded:
        settings = settings.model_copy(update={"migrate_on_start": True})
    async with open_broker(settings, found.dsn, found.keyring) as broker:
        yield broker


def run(
    work: Callable[[], Coroutine[Any, Any, None]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Run a command's coroutine; every foreseeable failure is one line."""
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(work())
    except BrokerError as error:
        fail(error.detail or error.title())
    except (
        migrations.SchemaMissing,
        migrations.UnfitDatabase,
        migrations.CannotMigrate,
        WrongSealingKey,
    ) as error:
        fail(str(error))
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fail(explain(error))
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        fail(f"{named}{error.strerror or error}")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _shell() -> str:
    """Who runs the command, as far as the system knows."""
    try:
        user = getpass.getuser()
    except (KeyError, ImportError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def with_broker(work: Callable[[Components], Awaitable[None]]) -> None:
    """Run something on an assembled broker, quietly."""
    found = prepare_runtime()
    configure_logging(found.settings.log_format)

    async def command() -> None:
        SOURCE.set(Source("shell", _shell()))
        async with open_components(found) as broker:
            await work(broker)

    run(command)
