"""A wire between one broker process and Postgres that can be cut at any statement."""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

SOCKET = ".s.PGSQL.5432"


class Wire:
    """Listens like Postgres on a Unix socket, passes everything on, and counts statements.

    When armed for statement `index` it acts there: `before` it is passed on or `after` it was
    answered, it calls `act` and passes nothing more on over that connection.
    """

    def __init__(self, dsn):
        self._real = Path(parse_qs(urlsplit(dsn).query)["host"][0]) / SOCKET
        self._folder = Path(tempfile.mkdtemp(prefix="wire-", dir="/tmp"))
        parts = urlsplit(dsn)
        query = {**dict(parse_qsl(parts.query)), "host": str(self._folder)}
        self.dsn = parts._replace(query=urlencode(query)).geturl()
        self.statements = []
        self._armed = None
        self._tasks = set()

    async def __aenter__(self):
        self._folder.chmod(0o755)
        path = self._folder / SOCKET
        self._server = await asyncio.start_unix_server(self._serve, path)
        path.chmod(0o777)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        (self._folder / SOCKET).unlink(missing_ok=True)
        self._folder.rmdir()

    def arm(self, index, when, act):
        """At the index-th statement from now, act `before` or `after` it, and cut."""
        self.statements.clear()
        self._armed = (index, when, act)

    def disarm(self):
        self._armed = None

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        there, back = await asyncio.open_unix_connection(self._real)
        cut = asyncio.Event()
        answers = asyncio.create_task(self._answers(there, writer, cut))
        try:
            await self._questions(reader, back, cut, answers, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            answers.cancel()
            for each in (writer, back):
                with contextlib.suppress(Exception):
                    each.close()

    async def _questions(self, reader, back, cut, answers, writer):
        names = {}
        head = await reader.readexactly(4)
        back.write(head + await reader.readexactly(int.from_bytes(head) - 4))
        while True:
            kind = await reader.readexactly(1)
            size = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(size) - 4)
            text = statement(kind, body, names)
            armed = None
            if text is not None:
                armed = self._armed if self._due() else None
                self.statements.append(text)
            if armed is not None and armed[1] == "before":
                self._armed = None
                armed[2]()
                writer.transport.abort()
                return
            if armed is not None:
                self._armed = None
                cut.set()
            back.write(kind + size + body)
            if armed is not None:
                if kind == b"B":  # the rest of the exchange, up to Sync
                    back.write(await _until_sync(reader))
                await asyncio.wait_for(answers, 10)
                armed[2]()
                writer.transport.abort()
                return

    def _due(self):
        return self._armed is not None and len(self.statements) == self._armed[0]

    async def _answers(self, there, writer, cut):
        """Pass answers on; once cut, hold them back until Postgres is ready again, and end."""
        while True:
            data = await there.read(65_536)
            if not data:
                writer.transport.abort()
                return
            if not cut.is_set():
                writer.write(data)
            elif data[-6:-1] == b"Z\x00\x00\x00\x05":
                return


async def _until_sync(reader):
    sent = b""
    while True:
        kind = await reader.readexactly(1)
        size = await reader.readexactly(4)
        sent += kind + size + await reader.readexactly(int.from_bytes(size) - 4)
        if kind == b"S":
            return sent


def statement(kind, body, names):
    """The SQL that a message runs: a simple query, or a bound prepared statement."""
    if kind == b"Q":
        return body.rstrip(b"\0").decode()
    if kind == b"P":
        name, _, rest = body.partition(b"\0")
        names[name] = rest.partition(b"\0")[0].decode()
    if kind == b"B":
        _, _, rest = body.partition(b"\0")
        return names.get(rest.partition(b"\0")[0], "?")
    return None
