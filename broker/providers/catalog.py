"""Every provider by its name: the one place that lists them."""

from collections.abc import Mapping

from broker.providers.base import Deadlines, Provider, ProviderContext, ProviderSpec
from broker.providers.hubspot.provider import HUBSPOT, HubSpot
from broker.providers.quickbooks.provider import QUICKBOOKS
from broker.providers.salesforce.provider import SALESFORCE
from broker.providers.shopify.provider import SHOPIFY
from broker.providers.transport.pools import Pools
from broker.providers.webhooks import Webhooks
from broker.providers.woocommerce.provider import WOOCOMMERCE
from broker.providers.xero.provider import XERO

PROVIDERS: tuple[ProviderSpec, ...] = (
    HUBSPOT,
    SALESFORCE,
    QUICKBOOKS,
    SHOPIFY,
    WOOCOMMERCE,
    XERO,
)

DEFAULT = HUBSPOT.name
"""The provider of an app that names none."""

BY_NAME: Mapping[str, ProviderSpec] = {spec.name: spec for spec in PROVIDERS}

KEY_HEADERS = tuple(sorted({header for spec in PROVIDERS for header in spec.key_headers}))
"""Where else than in `Authorization` an API key may arrive."""

WEBHOOKS: Mapping[str, Webhooks] = {
    spec.name: spec.webhooks for spec in PROVIDERS if spec.webhooks is not None
}
"""The webhooks of the providers that have some."""


SETTINGS = frozenset(name for spec in PROVIDERS for name in spec.settings)
"""The operator's settings that providers have."""


class Providers(dict[str, Provider]):
    """The providers of one process, by name."""

    def __init__(
        self,
        pools: Pools,
        deadlines: Deadlines,
        settings: Mapping[str, str | None],
        *,
        allow_private: bool = False,
    ) -> None:
        """`settings`: the operator's, by their names; what is not there has its default.
        `allow_private`: hosts that users name may be at private addresses.
        """
        key_headers = frozenset(KEY_HEADERS)
        super().__init__(
            (
                spec.name,
                spec.build(
                    ProviderContext(
                        pools, deadlines, _settings(spec, settings), key_headers, allow_private
                    )
                ),
            )
            for spec in PROVIDERS
        )
        self._pools = pools

    @property
    def hubspot(self) -> HubSpot:
        """HubSpot, for what only it has: a journal."""
        found = self[HUBSPOT.name]
        assert isinstance(found, HubSpot)  # noqa: S101  # its own spec built it
        return found

    @property
    def in_flight(self) -> int:
        """How many proxied calls have not been answered to the end."""
        return self._pools.in_flight

    @property
    def max_connections(self) -> int:
        """How many connections to providers there can be, each of them a file descriptor."""
        return self._pools.max_connections

    async def close(self) -> None:
        """End all connections."""
        for provider in self.values():
            await provider.close()
        self._pools.close()


def _settings(spec: ProviderSpec, settings: Mapping[str, str | None]) -> dict[str, str]:
    chosen = {name: settings.get(name) or default for name, default in spec.settings.items()}
    return {name: value for name, value in chosen.items() if value is not None}
