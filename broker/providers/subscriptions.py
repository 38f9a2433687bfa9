"""Webhook subscriptions that stand in each connected account: some vendors drop them when an
address fails for some hours, or is slow, and say nothing.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from broker.domain.model import Secret
from broker.errors import wrong_field

TOPICS = "webhookTopics"
"""The option of an app that names the topics, with commas between them."""


class AccountCalls(Protocol):
    """Calls as one user: method, target and JSON payload; the status and the JSON that came."""

    async def __call__(
        self, method: str, target: str, payload: Any = None, /
    ) -> tuple[int, Any]: ...


class SubscriptionsRefused(Exception):
    """The vendor does not let the app subscribe; the reason is for a person."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The subscriptions that an account should have: to `topics`, sent to `url`. `secret` signs
    them where the vendor leaves it to the subscription. `rewrite`: the app has changed since they
    were looked at, or they never were.
    """

    topics: Sequence[str]
    url: str
    secret: Secret | None
    rewrite: bool


class Subscriptions(ABC):
    """How one vendor's subscriptions are read and made."""

    topic: re.Pattern[str]
    """What a topic looks like."""

    @abstractmethod
    async def restore(self, call: AccountCalls, wanted: Wanted) -> int:
        """Make what is missing and mend what was stopped; how many. Others are left alone.

        Raises SubscriptionsRefused, and what the calls raise.
        """

    def check_options(self, options: Mapping[str, str]) -> Mapping[str, str]:
        """An app's options with its topics in order, each once. Raises InvalidRequest."""
        topics = topics_of(options)
        for each in topics:
            if not self.topic.fullmatch(each):
                raise wrong_field(TOPICS, f"{each[:100]} is not a topic")
        return {**options, TOPICS: ",".join(topics)} if TOPICS in options else options


def topics_of(options: Mapping[str, str]) -> list[str]:
    """The topics that an app's options name."""
    names = (each.strip() for each in options.get(TOPICS, "").split(","))
    return sorted({each for each in names if each})
