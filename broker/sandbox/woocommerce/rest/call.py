"""A request to the REST API that was let in."""

import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from broker.sandbox.woocommerce.rest.answers import RestError
from broker.sandbox.woocommerce.rest.params import Params
from broker.sandbox.woocommerce.site import ApiKey
from broker.sandbox.woocommerce.world import WooCommerce


@dataclass(slots=True)
class Call:
    """One request. `route` is the path below the API's root; `parts` are what it names."""

    world: WooCommerce
    request: web.Request
    route: str
    parts: dict[str, str]
    params: Params
    key: ApiKey | None

    def number(self, name: str) -> int:
        """A number that the path names."""
        return int(self.parts[name])

    def may(self, right: str, message: str) -> None:
        """Refuse unless the key's user may do this. Raises RestError 401 without a key, 403
        without the right.
        """
        if self.key is None or not self.key.manages:
            status = 401 if self.key is None else 403
            raise RestError(status, f"woocommerce_rest_cannot_{right}", message)

    async def body(self) -> dict[str, Any]:
        """The JSON object that was sent. Raises RestError 400."""
        raw = await self.request.read()
        if not raw:
            return {}
        try:
            read = json.loads(raw)
        except ValueError as error:
            message = "Invalid JSON body passed."
            raise RestError(400, "rest_invalid_json", message) from error
        return read if isinstance(read, dict) else {}

    def address(self, route: str) -> str:
        """The address of another route."""
        return str(self.request.url.with_path(f"/wp-json{route}").with_query(None))
