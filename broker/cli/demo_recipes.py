"""The demo's stretches about recipes, in the order in which they are walked."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from broker.recipes.enrichment.demo import EnrichmentScenario
from broker.recipes.invoices.demo import INVOICE_SCOPES, InvoicesScenario
from broker.recipes.kyb.demo import COMPANY_SCOPES, KybScenario
from broker.recipes.orders.demo import ORDER_SCOPES, OrdersScenario
from broker.sandbox.suite.suite import Suite

RECIPE_SCOPES = [
    *COMPANY_SCOPES,
    *(scope for scope in ORDER_SCOPES if not scope.startswith("crm.objects.contacts")),
    *INVOICE_SCOPES,
]

Step = tuple[str, Callable[[aiohttp.ClientSession], Awaitable[str]]]


class RecipeScenarios:
    """Every recipe of the demo. `ask` calls the broker as the demo does, for one user."""

    def __init__(self, ask: Callable[..., Awaitable[Any]], suite: Suite, user: str) -> None:
        started = {name: each.running for name, each in suite.started.items()}
        hubspot = started["hubspot"].sandbox
        self.kyb = KybScenario(ask, hubspot, started["fml"], user)
        self._rest = (
            OrdersScenario(ask, hubspot, started["woocommerce"], user),
            InvoicesScenario(ask, hubspot, started["quickbooks"], user),
            EnrichmentScenario(ask, started["enrichment"], user),
        )

    def steps(self) -> list[Step]:
        return [*self.kyb.steps(), *(step for each in self._rest for step in each.steps())]
