"""The page on which a merchant installs an app, and the signed way back to the app.

Cancel leads to the shop's admin, not to the app. A merchant who granted the same scopes before is
sent on at once.
"""

import base64
import hashlib
import hmac

from aiohttp import web

from broker.sandbox.core.redirects import is_registered, redirect
from broker.sandbox.shopify.addressing import paths, shop_of
from broker.sandbox.shopify.apps import App
from broker.sandbox.shopify.pages import render
from broker.sandbox.shopify.store.records import Shop
from broker.sandbox.shopify.world import Shopify

FIELDS = ("client_id", "scope", "redirect_uri", "state")


def callback_hmac(query: dict[str, str], secret: str) -> str:
    """The hex HMAC-SHA256 over the sorted query without `hmac`."""
    message = "&".join(f"{name}={query[name]}" for name in sorted(query) if name != "hmac")
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


class ConsentPages:
    """`/admin/oauth/authorize`."""

    def __init__(self, world: Shopify) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            *(web.get(path, self.show_page) for path in paths("/admin/oauth/authorize")),
            *(web.post(path, self.decide) for path in paths("/admin/oauth/decision")),
        ]

    async def show_page(self, request: web.Request) -> web.Response:
        """Show the page, or answer at once."""
        fields = {name: request.query.get(name, "") for name in FIELDS}
        judged = self._judge(request, fields)
        if isinstance(judged, web.Response):
            return judged
        app, shop, scopes = judged
        before = shop.installed.get(app.client_id)
        if self._world.levers.auto_consent or (before is not None and set(before) >= set(scopes)):
            return self._back(app, shop, fields, scopes)
        return render("consent.html", app=app, shop=shop, fields=fields, scopes=scopes)

    async def decide(self, request: web.Request) -> web.Response:
        """Take the merchant's decision."""
        form = await request.post()
        fields = {name: str(form.get(name, "")) for name in FIELDS}
        judged = self._judge(request, fields)
        if isinstance(judged, web.Response):
            return judged
        app, shop, scopes = judged
        if form.get("decision") != "install":
            return render("cancelled.html", app=app, shop=shop)
        return self._back(app, shop, fields, scopes)

    def _judge(
        self, request: web.Request, fields: dict[str, str]
    ) -> tuple[App, Shop, list[str]] | web.Response:
        """The requesting app, the shop and the scopes, or the page that refuses them."""
        shop = shop_of(self._world, request)
        if shop is None:
            return render("problem.html", status=404, problem="This store is unavailable.")
        app = self._world.apps.get(fields["client_id"])
        if app is None:
            problem = "Oauth error invalid_request: Could not find Shopify API application."
            return render("problem.html", status=400, problem=problem)
        if not is_registered(fields["redirect_uri"], app.redirect_urls):
            problem = "Oauth error invalid_request: The redirect_uri is not whitelisted."
            return render("problem.html", status=400, problem=problem)
        scopes = [each.strip() for each in fields["scope"].split(",") if each.strip()]
        if not set(scopes or [""]) <= set(app.scopes):
            problem = "Oauth error invalid_scope: The access scope is invalid."
            return render("problem.html", status=400, problem=problem)
        return app, shop, scopes

    def _back(
        self, app: App, shop: Shop, fields: dict[str, str], scopes: list[str]
    ) -> web.Response:
        self._world.install(app, shop, scopes)
        name = shop.domain.partition(".")[0]
        host = base64.b64encode(f"admin.shopify.com/store/{name}".encode()).decode().rstrip("=")
        query = {
            "code": self._world.grants.issue_code(app.client_id, shop.domain, scopes),
            "host": host,
            "shop": shop.domain,
            "timestamp": str(int(self._world.now())),
        }
        if fields["state"]:
            query["state"] = fields["state"]
        query["hmac"] = callback_hmac(query, app.client_secret)
        return redirect(fields["redirect_uri"], dict(sorted(query.items())))
