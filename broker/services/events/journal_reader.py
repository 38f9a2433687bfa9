"""Read HubSpot's journal: a second source that fills what webhooks left out.

A file and the place after it commit together, so a process that stops loses nothing and repeats at
most a file, which its marks make harmless. What both sources tell is told once (`splitting`). What
is older than HubSpot keeps is lost, and said to be (`hubspot.events_lost`).
"""

import asyncio
import logging
import random
from datetime import datetime, timedelta

from broker.domain.events import NewEvent
from broker.domain.model import Secret
from broker.errors import BrokerError
from broker.providers.hubspot.client import HubSpot
from broker.providers.hubspot.events.journal import KEPT, OffsetUnknown, published_at
from broker.providers.hubspot.oauth import GrantEnded
from broker.stores.events.journals import Journal, Journals

log = logging.getLogger(__name__)

FILES_AT_ONCE = 200
POLL_INTERVAL = timedelta(seconds=20)
LONGEST_PAUSE_S = 600.0


class JournalReader:
    """Reads the journals of the apps that ask for it."""

    def __init__(self, journals: Journals, hubspot: HubSpot) -> None:
        self._journals = journals
        self._hubspot = hubspot

    async def read_due(self, limit: int) -> int:
        """Read on in the journals that are due; how many."""
        claimed = await self._journals.claim(limit)
        await asyncio.gather(*(self._read(journal) for journal in claimed))
        return len(claimed)

    async def _read(self, journal: Journal) -> None:
        try:
            token = await self._hubspot.app_token(journal.client_id, journal.client_secret)
            if journal.position is None:
                await self._begin(journal, token)
            else:
                await self._read_next(journal, token)
        except (BrokerError, GrantEnded, OffsetUnknown) as error:
            code = error.code if isinstance(error, BrokerError) else "not-readable"
            pause = min(10.0 * 2.0 ** min(journal.failures, 9), LONGEST_PAUSE_S)
            log.warning("journal not read", extra={"app": journal.app_slug, "reason": code})
            await self._journals.reschedule(
                journal,
                timedelta(seconds=pause * random.uniform(0.5, 1)),  # noqa: S311
                error=code,
            )

    async def _begin(self, journal: Journal, token: Secret) -> None:
        """Take the place after the newest file: what was before, webhooks have told."""
        await self._hubspot.subscribe_to_lifecycle(token)
        newest = await self._hubspot.journal_file(token, None)
        position = "" if newest is None else newest[0]
        await self._journals.advance(journal, position, journal.started_at)
        await self._journals.reschedule(journal, POLL_INTERVAL)

    async def _read_next(self, journal: Journal, token: Secret) -> None:
        kept_from = journal.started_at - KEPT
        if journal.read_to < kept_from:
            found = await self._restart(journal, kept_from)
            if found is None:
                return
            journal = found
        for _ in range(FILES_AT_ONCE):
            try:
                file = await self._hubspot.journal_file(token, journal.position)
            except OffsetUnknown:
                if not journal.position:
                    raise
                # Nothing is lost by it: all that HubSpot keeps is read again, and told once.
                file = None
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
        await self._journals.reschedule(journal, timedelta(0))

    async def _restart(self, journal: Journal, kept_from: datetime) -> Journal | None:
        """Say what is lost, and go on from the oldest file that is left."""
        span = {
            "from": journal.read_to.isoformat(timespec="milliseconds"),
            "to": kept_from.isoformat(timespec="milliseconds"),
        }
        log.warning("events lost", extra={"app": journal.app_slug, **span})
        fact = NewEvent("hubspot.events_lost", journal.app_slug, None, None, span)
        return await self._journals.advance(journal, "", kept_from, lost=fact)
