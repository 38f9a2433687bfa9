"""Who is measured together: everything that one setup needs, running, on its cores."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.bench import servers
from tests.bench.brokers import Postgres, broker, connect, postgres
from tests.bench.load import Subject
from tests.bench.processes import other_cores, subject_cores
from tests.bench.revisions import Revision
from tests.bench.workloads import Target

WORKERS = 2
SETUPS = ("plain", "tls", "workers")


@dataclass
class Lineup:
    """Subjects that alternate, and what is needed to compare them."""

    client: list[int]
    subjects: list[Subject] = field(default_factory=list)
    comparisons: list[tuple[str, str]] = field(default_factory=list)
    postgres: dict[str, Postgres] = field(default_factory=dict)


@contextmanager
def lineup(setup: str, revisions: Sequence[Revision], *, express: bool) -> Iterator[Lineup]:
    """Start a setup: upstream, nginx, bare aiohttp, perhaps express, and brokers.

    `revisions` begins with this tree's.
    """
    processes = WORKERS if setup == "workers" else 1
    own, others = subject_cores(processes), other_cores(processes)
    with ExitStack() as stack:
        found = Lineup(others)
        upstream = stack.enter_context(servers.upstream(others, tls=setup == "tls"))
        found.subjects.append(Subject("direct", Target(upstream.plain_url), upstream.pids))
        found.subjects.append(stack.enter_context(servers.nginx(upstream, own)))
        found.subjects.append(stack.enter_context(servers.bare_aiohttp(upstream, own)))
        if express:
            found.subjects.append(stack.enter_context(servers.express(upstream, own)))
        plain = [subject.name for subject in found.subjects[1:]]
        for revision in reversed(revisions):
            for workers in sorted({1, processes}):
                name = revision.name if workers == 1 else f"{revision.name}, {workers} workers"
                server = stack.enter_context(postgres(others))
                settings = {"cores": own, "workers": workers, **upstream.trust}
                serving = stack.enter_context(broker(revision, server, upstream.url, **settings))
                connect(serving)
                found.subjects.append(serving.subject(name, workers))
                found.postgres[name] = server
                if workers > 1:
                    found.comparisons.append((name, revision.name))
        for older in revisions[1:]:
            same = {each.name.removeprefix(older.name) for each in found.subjects}
            found.comparisons += [
                (f"{revisions[0].name}{kind}", f"{older.name}{kind}")
                for kind in ("", f", {WORKERS} workers")
                if kind in same
            ]
        found.comparisons += [(each.name, base) for each in revisions for base in plain[::-1]]
        yield found
