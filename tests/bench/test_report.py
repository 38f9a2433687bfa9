"""What the benchmark reports is what it measured: pairs of one block, and only of quiet ones."""

import subprocess
import sys

import pytest

from tests.bench.load import Measured
from tests.bench.machine import Load, Snapshot
from tests.bench.processes import free_port
from tests.bench.report import Block, Spread, above_direct, ratio, tables, too_busy
from tests.bench.statements import names_in
from tests.bench.workloads import HEADERS, IDS, WORKLOADS, Target, script

QUIET = Load(0.05, 0.0)


def block(load=QUIET, connections=16, **rates):
    measured = {
        name: Measured(100, rate, 1000 / rate, 2000 / rate, 1e6 / rate, 80)
        for name, rate in rates.items()
    }
    return Block(WORKLOADS["read"], connections, measured, load)


def test_a_block_counts_as_busy_when_others_had_more_than_is_allowed():
    assert not Load(0.15, 0.0).exceeds(0.15)
    assert Load(0.16, 0.0).exceeds(0.15)


def test_half_as_much_is_allowed_to_the_host():
    assert not Load(0.0, 0.07).exceeds(0.15)
    assert Load(0.0, 0.08).exceeds(0.15)


def test_a_cell_is_refused_unless_most_of_its_blocks_were_quiet():
    loud = Load(0.9, 0.0)
    half = [block(QUIET, broker=1), block(loud, broker=1)]

    assert too_busy([*half, block(QUIET, broker=1)], 0.15) == []
    problems = too_busy(half, 0.15)
    assert problems == [
        "read, 16 connections: 1 of 2 blocks; others used 0.90 cores, the host took 0.00"
    ]


def test_one_cells_quiet_blocks_do_not_excuse_anothers():
    quiet = [block(QUIET, connections=1, broker=1) for _ in range(9)]

    assert len(too_busy([*quiet, block(Load(0.9, 0.0), connections=64, broker=1)], 0.15)) == 1


def test_ratios_are_made_within_a_block_and_not_of_medians():
    """A slow machine slows both of a pair; the medians of either alone would be 1.5 apart."""
    blocks = [
        block(broker=200, bare=100),
        block(broker=20, bare=10),
        block(broker=300, bare=200),
    ]

    assert ratio(blocks, "broker", "bare", "rate") == Spread(2.0, 1.5, 2.0)


def test_ratios_of_time_are_of_the_subject_to_the_base():
    assert ratio([block(broker=200, bare=100)], "broker", "bare", "p50").median == 0.5


def test_what_a_subject_adds_is_the_median_of_differences():
    blocks = [
        block(broker=100, direct=200),
        block(broker=10, direct=20),
        block(broker=50, direct=100),
    ]

    assert above_direct(blocks, "broker") == 10.0


def test_tables_leave_out_comparisons_of_subjects_that_were_not_there():
    text = tables([block(broker=200, direct=400)], [("broker", "direct"), ("broker", "bare")])

    assert "| 16 | broker : direct | 0.50 (0.50 to 0.50) |" in text
    assert "bare" not in text.partition("compared")[2]


def test_cpu_of_another_process_is_not_ours_and_of_a_child_is():
    """The child of a child counts as ours, also when it has ended."""
    burn = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    before = Snapshot.take()

    subprocess.run([sys.executable, "-c", nested], check=True, timeout=60)

    assert Snapshot.take().own - before.own >= 0.35


def test_others_are_counted_though_they_end_meanwhile():
    burn = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    look = (
        "import subprocess, sys; from tests.bench.machine import Snapshot\n"
        "before = Snapshot.take(); print(flush=True); input()\n"
        "print(Snapshot.take().others - before.others)"
    )
    looking = subprocess.Popen(
        [sys.executable, "-c", look], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    looking.stdout.readline()
    subprocess.run([sys.executable, "-c", burn], check=True, timeout=60)

    output, _ = looking.communicate("\n", timeout=60)

    assert float(output) >= 0.35


def test_statements_are_counted_by_name_for_the_brokers_database_only():
    log = (
        "bench LOG:  execute __asyncpg_stmt_1__: -- claim_due\n"
        "\t-- Take what is due.\n"
        "\tSELECT 1\n"
        "bench LOG:  execute __asyncpg_stmt_1__: -- claim_due\n"
        "bench LOG:  statement: BEGIN;\n"
        "bench LOG:  execute <unnamed>: SELECT 1\n"
        "bench LOG:  duration: 3 ms\n"
        "postgres LOG:  statement: SELECT pg_reload_conf()\n"
    )

    assert names_in(log) == {"claim_due": 2, "BEGIN": 1, "SELECT": 1}


def test_ports_are_not_handed_out_twice():
    ports = [free_port(2) for _ in range(200)]

    assert len({*ports, *(port + 1 for port in ports)}) == 400


def test_realistic_calls_have_22_headers_and_changing_ids():
    made = script(WORKLOADS["headers"], Target("http://localhost", "/proxy/bench/u1", "key"))

    assert len(HEADERS) == 22
    assert all(f'["{name}"] = ' in made for name in [*HEADERS, "Authorization"])
    assert f"for number = 1, {IDS} do" in made
    assert '"/proxy/bench/u1/crm/v3/objects/contacts/{id}"' in made


@pytest.mark.parametrize("wrapped", [None, "/api/hubspot/proxy/bench"])
def test_who_has_no_wrapped_form_gets_the_call_that_it_describes(wrapped):
    made = script(WORKLOADS["wrapped"], Target("http://localhost", "", "key", wrapped))

    assert ('wrk.format("POST"' in made) is bool(wrapped)
    assert ('wrk.format("GET"' in made) is not bool(wrapped)
