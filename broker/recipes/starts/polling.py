"""What a recipe's poll is asked, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from broker.crm.partners import PartnerUser
from broker.crm.records import HubSpotUser
from broker.domain.events import NewEvent
from broker.domain.runs import RunRequest


@dataclass(frozen=True, slots=True)
class DuePoll:
    """A look at what has changed in a user's partner account since the cursor, for one HubSpot
    account. `cursor` is None the first time that these two accounts are polled: then the look
    begins at `begins_at`, when the user connected, for what was before is not to flood HubSpot.
    `started_at` is now. Both are the database's time.
    """

    app_id: UUID
    user: HubSpotUser
    partner: PartnerUser
    cursor: Mapping[str, Any] | None
    begins_at: datetime
    started_at: datetime


@dataclass(frozen=True, slots=True)
class PollResult:
    """Where the next poll begins, in how many seconds (0: there is more), and the runs for what
    this one has found and events to be published. They commit together.
    """

    cursor: Mapping[str, Any]
    again_in_s: float
    runs: Sequence[RunRequest] = ()
    events: Sequence[NewEvent] = ()
