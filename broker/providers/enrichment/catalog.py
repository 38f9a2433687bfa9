"""Every enrichment vendor. Another one is a module and a line here."""

from collections.abc import Mapping

from broker.providers.enrichment.apollo import APOLLO
from broker.providers.enrichment.base import EnrichmentVendor
from broker.providers.enrichment.clearbit import CLEARBIT
from broker.providers.enrichment.fullcontact import FULLCONTACT
from broker.providers.enrichment.hunter import HUNTER
from broker.providers.enrichment.peopledatalabs import PEOPLEDATALABS

VENDORS: Mapping[str, EnrichmentVendor] = {
    each.name: each for each in (HUNTER, PEOPLEDATALABS, APOLLO, FULLCONTACT, CLEARBIT)
}
