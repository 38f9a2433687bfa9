"""The whole of the simulated WooCommerce: a site with its webhooks."""

import time
from collections.abc import Callable

from broker.sandbox.woocommerce.site import Site
from broker.sandbox.woocommerce.webhooks import Webhooks


class WooCommerce(Site):
    """One simulated WooCommerce."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.webhooks = Webhooks(self)
