"""HubSpot's journal, read as a second source of the events that webhooks missed.

A file and the offset after it commit together, so a process that stops loses nothing and repeats at
most a file, which deduplication makes harmless (`splitter`). Events older than HubSpot's retention
are lost, which the event `hubspot.events_lost` reports.
"""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from broker.concurrency.backoff import Backoff
from broker.domain.events import NewEvent
from broker.domain.model import ProviderClient, Secret
from broker.errors import BrokerError
from broker.providers.hubspot.client import HubSpotClient
from broker.providers.hubspot.events.journal import KEPT, OffsetUnknown, published_at
from broker.providers.oauth import GrantEnded
from broker.stores.events.journals import Journal, Journals

log = logging.getLogger(__name__)

FILES_PER_READING = 100
POLL_INTERVAL = timedelta(seconds=20)
CATCH_UP_INTERVAL = timedelta(seconds=60)
"""How many files of one app are read in a row, and the pauses after: when the end was reached, and
when it was not. HubSpot documents no limit for the journal; 100 requests a minute is what its
integrators report.
"""

TOKEN_FRESH_S = 600.0
"""How long an app's token is used again: a third of what HubSpot grants."""

MAX_TOKENS = 1_000
BACKOFF = Backoff(first=10, longest=600)


class JournalReader:
    """Reads the journals of the apps that have it switched on."""

    def __init__(self, journals: Journals, hubspot: HubSpotClient) -> None:
        self._journals = journals
        self._hubspot = hubspot
        self._tokens: dict[UUID, tuple[float, Secret]] = {}

    async def read_due(self, limit: int) -> int:
        """Read on in the journals that are due; how many."""
        claimed = await self._journals.claim(limit)
        await asyncio.gather(*(self._read(journal) for journal in claimed))
        return len(claimed)

    async def check(self, client: ProviderClient) -> None:
        """Look into an app's journal without reading on. Raises as a reading would: GrantEnded or
        a BrokerError, such as CredentialsRefused for an app without the scopes.
        """
        token = await self._hubspot.app_token(client)
        with suppress(OffsetUnknown):
            await self._hubspot.journal_file(token, None)

    async def _read(self, journal: Journal) -> None:
        try:
            token = await self._token(journal)
            if journal.position is None:
                await self._begin(journal, token)
            else:
                await self._read_next(journal, token)
        except (BrokerError, GrantEnded, OffsetUnknown) as error:
            if not isinstance(error, OffsetUnknown):
                self._tokens.pop(journal.app_id, None)
            code = error.code if isinstance(error, BrokerError) else "not-readable"
            log.warning("journal_read_failed", extra={"app": journal.app_slug, "reason": code})
            pause = timedelta(seconds=BACKOFF.pause(journal.failures + 1))
            await self._journals.reschedule(journal, pause, error=code)

    async def _token(self, journal: Journal) -> Secret:
        now = time.monotonic()
        issued_at, token = self._tokens.get(journal.app_id, (0.0, None))
        if token is None or now - issued_at > TOKEN_FRESH_S:
            token = await self._hubspot.app_token(
                ProviderClient(journal.client_id, journal.client_secret)
            )
            self._tokens.pop(journal.app_id, None)
            if len(self._tokens) >= MAX_TOKENS:
                self._tokens.pop(next(iter(self._tokens)))
            self._tokens[journal.app_id] = now, token
        return token

    async def _begin(self, journal: Journal, token: Secret) -> None:
        """Start after the newest file: webhooks have reported what was before."""
        await self._hubspot.subscribe_to_lifecycle(token)
        newest = await self._hubspot.journal_file(token, None)
        position = "" if newest is None else newest[0]
        await self._journals.advance(journal, position, journal.started_at)
        await self._journals.reschedule(journal, POLL_INTERVAL)

    async def _read_next(self, journal: Journal, token: Secret) -> None:
        kept_from = journal.started_at - KEPT
        if journal.read_to < kept_from:
            restarted = await self._restart(journal, kept_from)
            if restarted is None:
                return
            journal = restarted
        refused_before = False
        for _ in range(FILES_PER_READING):
            try:
                file = await self._hubspot.journal_file(token, journal.position)
            except OffsetUnknown:
                # From the oldest file once: all that HubSpot keeps is read again, and repeats are
                # known. A second refusal must not lead to a third reading of the same.
                if refused_before or not journal.position:
                    raise
                refused_before = True
                moved = await self._journals.advance(journal, "", journal.read_to)
            else:
                if file is None:
                    await self._journals.reschedule(
                        journal, POLL_INTERVAL, read_to=journal.started_at
                    )
                    return
                offset, body = file
                published = published_at(body) or journal.read_to
                moved = await self._journals.advance(
                    journal, offset, min(published, journal.started_at), body=body
                )
            if moved is None:
                return
            journal = moved
        await self._journals.reschedule(journal, CATCH_UP_INTERVAL)

    async def _restart(self, journal: Journal, kept_from: datetime) -> Journal | None:
        """Report the lost span, and go on from the oldest file that is left."""
        span = {
            "from": journal.read_to.isoformat(timespec="milliseconds"),
            "to": kept_from.isoformat(timespec="milliseconds"),
        }
        log.warning("events_lost", extra={"app": journal.app_slug, **span})
        lost = NewEvent("hubspot.events_lost", journal.app_slug, None, None, span)
        return await self._journals.advance(journal, "", kept_from, lost=lost)
