"""The embedded Postgres among real processes: at once, again, and killed half-way."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import psutil
import pytest

from broker.embedded import key, postmaster

ROOT = Path(__file__).parents[2]
PACKAGES = Path(asyncpg.__file__).parents[1]
SYSTEM_PYTHON = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root meets this")

HOLDS = """
import sys
from pathlib import Path
from broker.embedded import folder, server
try:
    print(server.start(Path(sys.argv[1])), flush=True)
except folder.EmbeddedUnavailable as refusal:
    sys.exit(f"refused: {refusal}")
sys.stdin.read()
"""
FORKS = """
import os
if os.fork() == 0:
    sys.exit()
os.wait()
print("forked", flush=True)
sys.stdin.read()
"""
SHOWS_KEYS = """
import sys
from pathlib import Path
from broker.embedded import key
print("ready", flush=True)
sys.stdin.readline()
for name in range(30):
    print(key.sealing_key(Path(sys.argv[1], str(name))))
"""


class User:
    """Somebody on this machine who runs brokers."""

    def __init__(self, name=None, python=sys.executable):
        self.name = name
        self._python = python
        self._started = []

    def runs(self, script, data, packages=PACKAGES):
        process = subprocess.Popen(
            [self._python, "-c", script, str(data)],
            cwd="/",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{packages}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **({"user": self.name, "group": "nogroup", "extra_groups": []} if self.name else {}),
        )
        self._started.append(process)
        return process

    def holds(self, data, **options):
        holder = self.runs(HOLDS, data, **options)
        holder.dsn = holder.stdout.readline().strip()
        if not holder.dsn:
            pytest.fail(holder.stderr.read())
        return holder

    def can_import(self):
        try:
            return self.runs("import psutil, broker.embedded.server", "").wait() == 0
        except OSError:
            return False

    def leaves(self):
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def data(request):
    folder = Path(tempfile.mkdtemp(prefix="broker-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder / "data"
    if (folder / "data").exists():
        postmaster.stop_server(folder / "data")
    shutil.rmtree(folder)


@pytest.fixture
def me():
    user = User()
    yield user
    user.leaves()


@pytest.fixture
def ordinary(me, data):
    """Root's stand-in for an ordinary user, or the ordinary user that runs the tests."""
    if os.geteuid() != 0:
        yield me
        return
    user = User("nobody", SYSTEM_PYTHON)
    if not user.can_import():
        user.leaves()
        pytest.skip(f"{SYSTEM_PYTHON} cannot import the broker as nobody")
    data.mkdir()
    shutil.chown(data, "nobody")
    yield user
    user.leaves()


def ends(holder):
    _, complaints = holder.communicate(timeout=30)
    assert (holder.returncode, complaints) == (0, "")


def kill(process):
    process.kill()
    process.wait()


def kill_half_way(starting, data):
    deadline = time.monotonic() + 10
    while not any(data.glob("postgres.new.*/global")):
        assert starting.poll() is None, starting.stderr.read()
        assert time.monotonic() < deadline, "no half-made cluster was seen"
        time.sleep(0.001)
    kill(starting)


def server_of(data):
    return postmaster.pid_of(data / "postgres")


async def ask(holder, query):
    connection = await asyncpg.connect(holder.dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def test_two_that_start_at_once_share_one_server_and_the_last_one_stops_it(data, me):
    first, second = me.runs(HOLDS, data), me.runs(HOLDS, data)
    assert first.stdout.readline() == second.stdout.readline() != ""

    server = server_of(data)
    ends(first)
    left = server_of(data)
    ends(second)

    assert left == server is not None
    assert server_of(data) is None


async def test_a_second_start_finds_what_the_first_one_kept(data, me):
    holder = me.holds(data)
    await ask(holder, "CREATE TABLE kept AS SELECT 7 AS value")
    ends(holder)

    assert await ask(me.holds(data), "SELECT value FROM kept") == 7


async def test_the_server_outlives_a_killed_holder_until_the_next_one_ends(data, me):
    killed = me.holds(data)
    server = server_of(data)
    await ask(killed, "CREATE TABLE kept AS SELECT 7 AS value")
    kill(killed)

    holder = me.holds(data)
    found = await ask(holder, "SELECT value FROM kept")
    reused = server_of(data)
    ends(holder)

    assert found == 7
    assert reused == server is not None
    assert server_of(data) is None


async def test_a_killed_server_recovers_what_was_committed(data, me):
    killed = me.holds(data)
    await ask(killed, "CREATE TABLE kept AS SELECT 7 AS value")
    os.kill(server_of(data), 9)
    kill(killed)

    assert await ask(me.holds(data), "SELECT value FROM kept") == 7


async def test_a_kill_during_the_first_start_leaves_nothing_in_the_way(data, me):
    kill_half_way(me.runs(HOLDS, data), data)

    assert await ask(me.holds(data), "SELECT 7") == 7
    ends(me.holds(data))
    assert not list(data.glob("postgres.new.*"))


async def test_lock_files_that_name_a_strangers_process_are_not_believed(data, ordinary):
    kill(ordinary.holds(data))
    cluster, server = data / "postgres", server_of(data)
    lines = (cluster / "postmaster.pid").read_text().split("\n", 1)[1]
    postmaster.stop_server(data)

    stranger = ordinary.runs("input()", "")
    for lock in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (cluster / lock).write_text(f"{stranger.pid}\n{lines}")
        shutil.chown(cluster / lock, cluster.owner())
    holder = ordinary.holds(data)

    assert server_of(data) not in {None, server, stranger.pid}
    assert stranger.poll() is None
    ends(holder)


def test_an_ordinary_user_needs_nobody_else(data, ordinary):
    holder = ordinary.holds(data)
    user = pwd.getpwnam(ordinary.name).pw_uid if ordinary.name else os.geteuid()

    assert psutil.Process(server_of(data)).uids().effective == user
    assert (data / "postgres").stat().st_mode & 0o777 == 0o700
    ends(holder)
    assert server_of(data) is None


def test_the_end_of_a_forked_child_is_not_the_holders(data, me):
    holder = me.runs(HOLDS.replace("sys.stdin.read()\n", FORKS), data)
    assert holder.stdout.readline()
    assert holder.stdout.readline() == "forked\n"

    assert server_of(data) is not None
    ends(holder)
    assert server_of(data) is None


def test_a_log_of_errors_quotes_nothing(data, me):
    holder = me.holds(data)
    complaint = subprocess.run(
        [sys.executable, "-c", ASKS, holder.dsn], check=True, capture_output=True, text=True
    )
    ends(holder)

    assert "canary" in complaint.stdout
    assert "canary" not in (data / "postgres.log").read_text()


ASKS = """
import asyncio, asyncpg, sys
async def ask():
    connection = await asyncpg.connect(sys.argv[1])
    try:
        await connection.execute("SELECT 'canary'::uuid")
    except asyncpg.DataError as error:
        print(error)
    await connection.close()
asyncio.run(ask())
"""


def test_all_who_start_at_once_get_the_same_key(data, me):
    processes = [me.runs(SHOWS_KEYS, data) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    shown = [process.communicate()[0].split() for process in processes]

    assert len(set(shown[0])) == 30
    assert shown == shown[:1] * 4
    assert {path.name for path in data.glob("*/*")} == {"sealing.key"}


@as_root
def test_root_is_refused_a_private_parent_and_leaves_it_private(data, me):
    data.parent.chmod(0o700)

    refused = me.runs(HOLDS, data)
    _, complaint = refused.communicate(timeout=10)

    assert complaint.startswith(
        f"refused: running as root, Postgres runs as another user, and {data.parent}"
    )
    assert refused.returncode == 1
    assert data.parent.stat().st_mode & 0o777 == 0o700
    assert list(data.parent.iterdir()) == []


@as_root
def test_roots_own_environment_may_stay_private(data, me):
    private = data.parent / "private"
    private.mkdir(mode=0o700)
    (private / "packages").symlink_to(PACKAGES)

    ends(me.holds(data, packages=private / "packages"))
    ends(me.holds(data, packages=private / "packages"))

    assert private.stat().st_mode & 0o777 == 0o700
    assert len(list(data.glob("programs*"))) == 1


@as_root
def test_the_user_that_postgres_runs_as_cannot_read_roots_key(data, me):
    holder = me.holds(data)
    key.sealing_key(data)

    owner = (data / "postgres").owner()
    attempt = subprocess.run(
        ["cat", data / "sealing.key"], user=owner, check=False, capture_output=True
    )

    assert owner == psutil.Process(server_of(data)).username() != "root"
    assert attempt.returncode != 0
    assert attempt.stdout == b""
    ends(holder)
