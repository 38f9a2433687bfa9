"""Bring over the leads that have changed since a moment: a run of its own, page by page, with
pauses that leave calls of the org and of HubSpot to others.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from broker.domain.runs import PermanentFailure, RetryLater, StepContext
from broker.errors import InputRefused
from broker.recipes.leads.org.records import Lead
from broker.recipes.leads.org.salesforce import Leads
from broker.recipes.leads.pairs.pairing import Pairing
from broker.recipes.leads.pairs.work import Work

PAGE = 50
PAUSE_S = 2.0
PAGE_S = 20.0
"""A page, the pause after one, and how long a step goes through it: far less than a step may
take.
"""

MOST_REFUSED = 50
"""How many refused leads a result names."""


class _Progress:
    """How far a backfill is: the last lead whose end is known, so that an attempt begins with the
    next one.
    """

    def __init__(self, checkpoint: Mapping[str, Any]) -> None:
        self.written = checkpoint.get("written", 0)
        self.refused = list(checkpoint.get("refused", ()))
        self.last: tuple[datetime, str] | None = None
        if "at" in checkpoint:
            self.last = (datetime.fromisoformat(checkpoint["at"]), checkpoint["id"])

    def checkpoint(self) -> dict[str, Any]:
        at = {} if self.last is None else {"at": self.last[0].isoformat(), "id": self.last[1]}
        return {"written": self.written, "refused": self.refused, **at}

    def refuse(self, lead_id: str, refusal: Exception) -> None:
        found = refusal.refusal if isinstance(refusal, PermanentFailure) else refusal
        if len(self.refused) < MOST_REFUSED:
            message = getattr(found, "detail", None) or str(found)
            self.refused.append({"leadId": lead_id, "message": message})


async def backfill_page(
    context: StepContext, work: Work, leads: Leads, pairing: Pairing
) -> Mapping[str, Any]:
    """One page. Raises RetryLater while there are more."""
    progress = _Progress(context.checkpoint)
    since = datetime.fromisoformat(context.run.input["since"])
    found, _ = await leads.changed(
        work.partner, since, progress.last, work.fields, work.external, PAGE
    )
    stop_at = time.monotonic() + PAGE_S
    for lead in found:
        if time.monotonic() > stop_at:
            raise RetryLater(PAUSE_S, "more leads", progress.checkpoint())
        await _backfill_one(work, pairing, lead, progress)
    if len(found) == PAGE:
        raise RetryLater(PAUSE_S, "more leads", progress.checkpoint())
    return {"operation": "none", "written": progress.written, "refused": progress.refused}


async def _backfill_one(work: Work, pairing: Pairing, lead: Lead, progress: _Progress) -> None:
    if not lead.is_deleted:
        try:
            outcome = await pairing.of_lead(work, lead.id)
        except RetryLater as later:
            raise RetryLater(later.after_s, later.reason, progress.checkpoint()) from later
        except (InputRefused, PermanentFailure) as refusal:
            progress.refuse(lead.id, refusal)
        else:
            progress.written += outcome["operation"] != "none"
    progress.last = (datetime.fromisoformat(lead.stamp), lead.id)
