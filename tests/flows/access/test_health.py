"""Whether a process lives and can work, asked by whoever likes."""

import asyncio
import re

import prometheus_client

from broker.bootstrap.gauges import Gauges
from broker.stores.core.overview import Overview
from tests.until import until


async def sessions(database):
    """How many sessions the test's database has ever had."""
    return await database.fetchval(
        "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
    )


async def test_readiness_costs_no_session_however_often_it_is_asked(broker, database):
    """Each look used to open a session of its own, and anybody may look."""
    assert (await broker.asks("GET", "/readyz", key="")).status == 200
    before = await sessions(database)

    answers = await asyncio.gather(*(broker.asks("GET", "/readyz", key="") for _ in range(200)))

    assert {answer.status for answer in answers} == {200}
    assert await sessions(database) - before < 5


async def test_metrics_name_nobody_and_are_not_on_the_public_port(broker):
    """O9: nor does their number grow with the users."""
    await broker.connects("user-of-acme", portal=102)
    await broker.proxies("/_echo/x", user="user-of-acme")
    before = prometheus_client.generate_latest(broker.parts.metrics.registry).decode()
    for number in range(20):
        await broker.proxies("/_echo/x", user=f"nobody-{number}")
        await broker.asks("GET", f"/api/apps/app-{number}")
    after = prometheus_client.generate_latest(broker.parts.metrics.registry).decode()

    assert "broker_request_seconds" in before
    for name in ("acme", "nobody", "hbdev", "app-1", broker.workspace, '"102"', broker.client_id):
        assert name not in after
    assert after.count("\n") - before.count("\n") < 50
    assert (await broker.asks("GET", "/metrics")).status == 404


async def test_readiness_says_no_within_seconds_when_the_schema_is_behind(broker, database):
    assert (await broker.asks("GET", "/readyz", key="")).status == 200
    applied = await database.fetchrow("DELETE FROM public._pogo_migration RETURNING *")

    async def refused():
        answer = await broker.asks("GET", "/readyz", key="")
        return answer if answer.status != 200 else None

    answer = await until(refused)
    await database.execute(
        "INSERT INTO public._pogo_migration VALUES ($1, $2, $3, $4)", *applied.values()
    )
    assert (answer.status, answer.json()["checks"]["schema"]) == (503, "behind")


async def test_the_metrics_say_how_the_installation_is(broker, hubspot, database):
    await broker.connects("u1")
    await broker.connects("u2", portal=102)
    hubspot.revoke_grants(102)
    await broker.asks("POST", "/api/apps/hbdev/connections/u2/renew")
    await database.execute(
        "UPDATE renewal SET due_at = now() - interval '1 hour'"
        " FROM connection WHERE connection.workspace_id = renewal.workspace_id"
        " AND id = connection_id AND user_ref = 'u1'"
    )
    gauges = Gauges(Overview(broker.parts.database), broker.parts.metrics)

    await gauges.count_connections()
    await gauges.measure_overdue()
    await gauges.measure_endpoints()
    quiet = prometheus_client.generate_latest(broker.parts.metrics.registry).decode()
    await database.execute(
        "INSERT INTO endpoint (workspace_id, id, app_id, url, events, secret, failures, failing_since, disabled_at)"
        " SELECT workspace_id, gen_random_uuid(), id, '', '{}', '', failures, now() - age * interval '1 hour', off"
        " FROM app, (VALUES (0, NULL, NULL), (4, 9, NULL), (5, 2, NULL), (7, 1, NULL), (9, 5, now()))"
        " AS made (failures, age, off)"
    )
    await gauges.measure_endpoints()

    text = prometheus_client.generate_latest(broker.parts.metrics.registry).decode()
    assert 'broker_connections{status="ACTIVE"} 1.0' in text
    assert 'broker_connections{status="REAUTH_REQUIRED"} 1.0' in text
    assert 'broker_connections{status="PENDING"} 0.0' in text
    (late,) = re.findall(r'broker_overdue_seconds\{work="renewals"\} (\S+)', text)
    assert 3600 <= float(late) < 4000
    assert 'broker_overdue_seconds{work="deliveries"} 0.0' in text
    assert "broker_closed_endpoints 0.0" in quiet
    assert "broker_endpoint_down_seconds 0.0" in quiet
    assert "broker_closed_endpoints 2.0" in text, "neither one that is tried nor a disabled one"
    (down,) = re.findall(r"^broker_endpoint_down_seconds (\S+)", text, re.MULTILINE)
    assert 7200 <= float(down) < 7600
    assert "broker_database_up 1.0" in text
    assert re.search(r'broker_build_info\{python="3[^"]+",version="\d[^"]*"\} 1.0', text)
