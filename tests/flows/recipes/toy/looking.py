"""Greets the contacts that a shop names: the greeting recipe with a poll beside it."""

import dataclasses

from broker.crm.object_types import CONTACTS
from broker.recipes.base import StartingRecord
from broker.recipes.starts.polling import PollResult
from tests.flows.providers.shops import GRAPHQL, NAME

PAUSE_S = 60.0


class Feed:
    """What the shop would list: contacts in the order in which they changed; every look at it."""

    def __init__(self):
        self.contacts, self.looks = [], []


def looking(greetings, feed):
    """The greeting recipe's spec, polling the users of the app `shop`."""

    class Looking(greetings.build):
        def __init__(self, deps, setup):
            super().__init__(deps, setup)
            self._partners = deps.partners

        async def poll(self, due):
            feed.looks.append(due)
            answer = await self._partners.send(due.partner, "POST", GRAPHQL, NAME)
            assert answer.status == 200
            start = (due.cursor or {"from": len(feed.contacts)})["from"]
            settings = await self.setup.of_app(due.user.workspace_id, due.app_id)
            runs = [
                await self.record_request(
                    StartingRecord(due.app_id, due.user, CONTACTS, contact), settings
                )
                for contact in feed.contacts[start:]
            ]
            return PollResult({"from": len(feed.contacts)}, PAUSE_S, runs)

    return dataclasses.replace(
        greetings, build=Looking, polled_app=lambda settings: settings.word.lower()
    )
