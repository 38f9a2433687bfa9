"""A day of calls for the demo's console: made up, in the call log only, gone with the demo."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp
from random import Random
from typing import Any
from uuid import UUID

import aiohttp

from broker.bootstrap.components import Components
from broker.cli.demo_consent import consent
from broker.cli.demo_setting import USER
from broker.domain.model import Key
from broker.errors import ReauthRequired
from broker.sandbox.hubspot.world import Sandbox
from broker.stores.proxy.calls import CallRecord

COLLEAGUES = {"user-7": 101, "user-19": 101, "user-58": 102, "user-63": 102}
LEFT, LEFT_ACCOUNT, LEFT_AGO = "user-77", 103, timedelta(minutes=40)
"""Users with the account that each connects. One is of a company that uninstalls the app, after
which nothing is called for that user.
"""

SHARE_OF_USER = {USER: 34, "user-7": 18, "user-19": 9, "user-58": 24, "user-63": 11, LEFT: 4}
CALLS, BATCH = 8_000, 1000

KINDS = (
    # share, method, path as the log has it, usual milliseconds, usual bytes
    (30, "GET", "/crm/v3/objects/contacts", 118, 9200),
    (22, "GET", "/crm/v3/objects/contacts/{id}", 74, 780),
    (14, "POST", "/crm/v3/objects/contacts/search", 236, 6400),
    (9, "PATCH", "/crm/v3/objects/contacts/{id}", 148, 810),
    (8, "POST", "/crm/v3/objects/contacts/batch/upsert", 410, 18400),
    (7, "GET", "/crm/v3/objects/companies/{id}", 82, 940),
    (6, "GET", "/crm/v3/objects/deals", 131, 7700),
    (4, "GET", "/crm/v3/owners", 66, 1500),
)
FAILURES = (
    # share of all calls, status, the broker's error code or None when the answer is HubSpot's
    (0.018, 404, None),
    (0.009, 400, None),
    (0.005, 429, None),
    (0.003, 429, "quota-exhausted"),
    (0.002, 502, None),
)
OUTAGE_AGO, OUTAGE = timedelta(hours=6), timedelta(minutes=9)
"""When HubSpot failed for a while, in which four calls of ten got no good answer."""


@dataclass(frozen=True, slots=True)
class Logged:
    """Whose calls the day's are: the ids that every entry has, and each user's connection."""

    workspace_id: UUID
    app_id: UUID
    key_id: UUID
    connections: dict[str, UUID]


def busyness(at: datetime) -> float:
    """How much is called at a local time, from 0.25 at night to about 1 in office hours."""
    hour = at.hour + at.minute / 60
    morning, afternoon = exp(-(((hour - 10.5) / 1.8) ** 2)), exp(-(((hour - 15) / 2.2) ** 2))
    return 0.25 + 0.75 * max(morning, afternoon)


def past_calls(now: datetime, logged: Logged, random: Random) -> Iterator[CallRecord]:
    """The calls of the 24 hours before `now`, in no order. The same `random` gives the same day."""
    users = list(logged.connections)
    shares = [SHARE_OF_USER[user] for user in users]
    made = 0
    while made < CALLS:
        ago = timedelta(seconds=random.uniform(60, 86_400))
        user = random.choices(users, shares)[0]
        gone = user == LEFT and ago < LEFT_AGO
        if not gone and random.random() < busyness(now - ago):
            made += 1
            yield _call(now, ago, user, logged, random)


def _call(now: datetime, ago: timedelta, user: str, logged: Logged, random: Random) -> CallRecord:
    _, method, path, usual_ms, usual_bytes = random.choices(KINDS, [kind[0] for kind in KINDS])[0]
    status, error = _outcome(ago, random)
    if status < 300 and method == "POST" and path.endswith("/contacts"):
        status = 201
    ms = round(usual_ms * random.lognormvariate(0, 0.38)) + (900 if status >= 500 else 0)
    size = round(usual_bytes * random.uniform(0.8, 1.2)) if status < 400 else 260
    request_id = UUID(int=random.getrandbits(128), version=4)
    return CallRecord(
        workspace_id=logged.workspace_id,
        app_id=logged.app_id,
        at=(now - ago).timestamp(),
        connection_id=logged.connections[user],
        user_ref=user,
        key_id=logged.key_id,
        request_id=request_id.hex,
        method=method,
        path=path,
        status=status,
        error=error,
        bytes=size,
        ms=4 if error == "quota-exhausted" else ms,
        retries=1 if status >= 500 or random.random() < 0.01 else 0,
        renewed=random.random() < 0.012,
        provider_request_id=None if error else str(UUID(int=random.getrandbits(128), version=4)),
    )


def _outcome(ago: timedelta, random: Random) -> tuple[int, str | None]:
    if OUTAGE_AGO - OUTAGE < ago < OUTAGE_AGO and random.random() < 0.4:
        return 502, None
    chance = random.random()
    for share, status, error in FAILURES:
        if chance < share:
            return status, error
        chance -= share
    return 200, None


@dataclass(slots=True)
class DayScenario:
    """More users connect, their day is logged, and one company has uninstalled the app. `ask` calls
    the broker as the demo does.
    """

    broker: Components
    hubspot: Sandbox
    ask: Callable[..., Awaitable[Any]]

    async def fill(self, session: aiohttp.ClientSession, key: Key) -> str:
        self.hubspot.add_portal(LEFT_ACCOUNT, "initech.example", ["bill@initech.example"])
        for user, account in {**COLLEAGUES, LEFT: LEFT_ACCOUNT}.items():
            path = f"/api/hubspot/auth/demo?userForeignIdentifier={user}"
            await consent(session, (await self.ask(session, "GET", path))["url"], account)
        app = await self.broker.apps.get(key.workspace_id, "demo")
        connections = {
            user: found
            for user in SHARE_OF_USER
            if (found := await self.broker.connections.find_id(app, user))
        }
        logged = Logged(app.workspace_id, app.id, key.id, connections)
        now = datetime.now().astimezone()
        calls = list(past_calls(now, logged, Random("a day")))  # noqa: S311  # nothing secret
        for start in range(0, len(calls), BATCH):
            await self.broker.calls.write(calls[start : start + BATCH])
        last = {call.connection_id: call.at for call in sorted(calls, key=lambda call: call.at)}
        await self.broker.connections.record_last_used(
            {(app.workspace_id, id_): now.timestamp() - at for id_, at in last.items() if id_}
        )
        self.hubspot.revoke_grants(LEFT_ACCOUNT, app.client_id)
        refresher = logging.getLogger("broker.services.grants.refresher")
        refresher.setLevel(logging.ERROR)  # its warning would look like a fault of the demo
        with suppress(ReauthRequired):
            await self.broker.connection_admin.renew(app, LEFT)
        refresher.setLevel(logging.NOTSET)
        return f"{len(calls):,} calls of {len(connections)} users; {LEFT} has to reconnect"
