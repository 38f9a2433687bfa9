"""Every recipe of this broker. Another one is a package of its own and a line here."""

from broker.recipes.base import AnySpec
from broker.recipes.enrichment.spec import ENRICHMENT
from broker.recipes.invoices.spec import INVOICES
from broker.recipes.kyb.spec import KYB
from broker.recipes.leads.spec import LEADS
from broker.recipes.orders.spec import ORDERS

RECIPES: tuple[AnySpec, ...] = (KYB, ORDERS, INVOICES, LEADS, ENRICHMENT)
