"""Shopify as the broker's services know it."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, Connection, Grant, ProviderClient, ProxyCall, Secret
from broker.errors import ExchangeFailed, InvalidRequest, wrong_field
from broker.providers.base import Provider, ProviderContext, ProviderSpec
from broker.providers.calls import destination
from broker.providers.calls.answers import Answer, request_id_in
from broker.providers.calls.encodings import decoded_body
from broker.providers.calls.headers import HeaderFilter, response_headers
from broker.providers.calls.limits import QuotaLimit
from broker.providers.calls.upstream import Destinations, encode_call, peek_body
from broker.providers.oauth import GrantEnded
from broker.providers.shopify import api, oauth
from broker.providers.shopify.subscriptions import ShopifySubscriptions
from broker.providers.shopify.webhooks import ShopifyWebhooks
from broker.providers.shopify.wording import WORDING
from broker.providers.subscriptions import TOPICS
from broker.providers.transport.api_session import ApiResponse, ApiSession
from broker.providers.transport.failures import Failures
from broker.providers.values import Callback, ConsentRequest, Exchange, Renewable

FAILURES = Failures("Shopify")


class Shopify(Provider):
    """Shopify: a host for each shop, limits in points."""

    failures = FAILURES
    retry_rules = api.RETRIES
    rotates = True

    def __init__(self, context: ProviderContext) -> None:
        self.spec = SHOPIFY
        self.deadlines = context.deadlines
        self._url = context.settings["shopify_url"]
        self._session = ApiSession(FAILURES)
        self._destinations = Destinations(context.pools)
        self._headers = HeaderFilter(context.key_headers)

    async def close(self) -> None:
        """End the connections of the broker's own requests."""
        await self._session.close()

    def check_link(self, app: App, options: Mapping[str, str]) -> Mapping[str, str]:
        """`shop`: the permanent domain of the shop that installs the app."""
        shop = oauth.shop_of(super().check_link(app, options).get(oauth.SHOP))
        if shop is None:
            raise wrong_field(oauth.SHOP, "must be a shop's domain, such as acme.myshopify.com")
        return {oauth.SHOP: shop}

    def reconnect_options(self, connection: Connection) -> Mapping[str, str]:
        """The shop of the connection."""
        return {oauth.SHOP: connection.account_id or ""}

    def uses_pkce(self, _app: App, _options: Mapping[str, str]) -> bool:
        """Shopify has no PKCE."""
        return False

    def authorize_url(self, app: App, request: ConsentRequest) -> str:
        """The shop's page on which a merchant installs the app."""
        return oauth.authorize_url(self._at(request.options[oauth.SHOP]), app, request)

    def check_callback(self, app: App, callback: Callback, options: Mapping[str, str]) -> None:
        """The redirect is signed with the client secret, and about the link's shop."""
        if not oauth.is_signed(callback.query, app.client_secret, time.time()):
            raise InvalidRequest("The redirect is not signed by Shopify, or not recent.")
        if oauth.shop_of(callback.query.get(oauth.SHOP)) != options.get(oauth.SHOP):
            raise wrong_field(oauth.SHOP, "is another shop than the link's")

    async def exchange(self, app: App, request: Exchange) -> Tokens:
        """Turn an authorization code into tokens."""
        shop = request.options[oauth.SHOP]
        return await self._tokens(shop, oauth.exchange_body(app.client, request.code))

    async def identify(self, _app: App, tokens: Tokens) -> Account | None:
        """The shop with its name."""
        if tokens.account is None:
            return None
        shop = tokens.account.account_id
        response = await self._query(shop, tokens.access_token, api.SHOP_QUERY)
        name = oauth.read_name(shop, response.status, response.body)
        return None if name is None else replace(tokens.account, account_name=name)

    def import_details(self, fields: Mapping[str, Secret]) -> Mapping[str, str]:
        """`shop`: where a refresh token is renewed."""
        return {oauth.SHOP: _shop_in(fields)}

    async def prove_credentials(
        self, app: App, fields: Mapping[str, Secret]
    ) -> tuple[Tokens, Account]:
        """Tokens of the app itself in a shop of its own organization: client credentials."""
        shop = _shop_in(fields)
        try:
            tokens = await self._own_tokens(app.client, shop)
            account = await self.identify(app, tokens)
        except (GrantEnded, ExchangeFailed) as refused:
            raise wrong_field(oauth.SHOP, "does not accept the app's credentials") from refused
        if account is None:
            raise wrong_field(oauth.SHOP, "does not accept the app's credentials")
        return tokens, account

    async def refresh(self, client: ProviderClient, renewable: Renewable) -> Tokens:
        """Renew a grant."""
        shop = renewable.details.get(oauth.SHOP) or renewable.account_id
        if shop is None:
            raise GrantEnded("shop-unknown")
        if renewable.details.get(oauth.GRANT) == oauth.CLIENT_CREDENTIALS:
            return await self._own_tokens(client, shop)
        if renewable.refresh_token is None:
            raise GrantEnded("token-refused")
        return await self._tokens(shop, oauth.refresh_body(client, renewable.refresh_token))

    async def revoke(
        self, client: ProviderClient, token: Secret, details: Mapping[str, str]
    ) -> bool:
        """Uninstall the app from the shop: the only end of a grant that Shopify has."""
        shop = details.get(oauth.SHOP)
        if shop is None:
            return False
        try:
            tokens = await self._tokens(shop, oauth.refresh_body(client, token))
        except GrantEnded:
            return True
        response = await self._session.request(
            "DELETE",
            f"{self._at(shop)}/admin/api_permissions/current.json",
            headers=oauth.call_headers(tokens.access_token),
        )
        if response.status >= 500:
            raise FAILURES.unavailable(f"Shopify's uninstallation answered {response.status}.")
        return response.status < 300 or response.status in {401, 404}

    def quota_of(self, _method: str, target: str) -> QuotaLimit:
        """GraphQL is counted in points, REST in calls."""
        return api.quota_of(target)

    def target_of(self, url: str, connection: Connection) -> str:
        """The target of a URL at the connection's shop."""
        shop = connection.account_id
        return destination.target_of(
            url, (self._at(shop or ""),), lambda host: host == shop, "the connected shop"
        )

    def template_of(self, target: str) -> str:
        """A path without ids and handles."""
        return api.template_of(target.partition("?")[0])

    async def send(
        self,
        call: ProxyCall,
        connection: Connection,
        grant: Grant,
        within: float,
        *,
        repeats: bool,
    ) -> Answer:
        """Send a call as one user. Every answer of GraphQL is looked into, for points."""
        there = self._destinations.at(self._at(connection.account_id or ""))
        credentials = tuple(oauth.call_headers(grant.access_token).items())
        request, rest = encode_call(call, there, self._headers, credentials)
        graphql = api.is_graphql(call.target)
        try:
            answer = await there.pool.send(
                request,
                rest,
                min(within, self.deadlines.total),
                bodiless=call.method == "HEAD",
                repeats=repeats,
            )
            body = await peek_body(answer) if graphql and answer.status in {200, 429} else b""
        except OSError as error:
            raise FAILURES.refusal(error) from error
        body = decoded_body(answer.raw, body)
        throttled = answer.status == 429 or (graphql and api.is_throttled(body))
        limits = (
            api.read_points(body, throttled=throttled)
            if graphql
            else api.read_rest_limit(answer.status, answer.headers)
        )
        wait = None if answer.status < 400 else api.retry_after(answer.headers)
        if throttled and wait is None and limits is not None:
            wait = limits.retry_after
        return Answer(
            answer.status,
            answer.reason,
            response_headers(answer.raw),
            answer,
            answer.status == 401,
            limits,
            wait,
            answer.close,
            throttled=throttled and answer.status != 429,
            request_id=request_id_in(answer.headers),
        )

    async def _own_tokens(self, client: ProviderClient, shop: str) -> Tokens:
        tokens = await self._tokens(shop, oauth.credentials_body(client))
        return replace(tokens, details={oauth.SHOP: shop, oauth.GRANT: oauth.CLIENT_CREDENTIALS})

    async def _tokens(self, shop: str, body: Mapping[str, str]) -> Tokens:
        url = f"{self._at(shop)}/admin/oauth/access_token"
        response = await self._session.request("POST", url, json=body)
        tokens = oauth.read_tokens(shop, response.status, response.body)
        # Every shop answers for itself; calls go by the account, so that the setting may change.
        return replace(tokens, api_url=self._at(shop))

    async def _query(self, shop: str, token: Secret, query: str, **variables: Any) -> ApiResponse:
        return await self._session.request(
            "POST",
            f"{self._at(shop)}/admin/api/{api.VERSION}/graphql.json",
            json={"query": query, "variables": variables},
            headers=oauth.call_headers(token),
        )

    def _at(self, shop: str) -> str:
        """Where a shop is reached. Raises InvalidRequest for what is not a shop."""
        if oauth.shop_of(shop) is None:
            raise wrong_field(oauth.SHOP, "is not a shop's domain")
        return self._url.replace("{shop}", shop)


def _shop_in(fields: Mapping[str, Secret]) -> str:
    shop = oauth.shop_of(fields[oauth.SHOP].reveal() if oauth.SHOP in fields else None)
    if shop is None:
        raise wrong_field(oauth.SHOP, "must be a shop's domain, such as acme.myshopify.com")
    return shop


SUBSCRIPTIONS = ShopifySubscriptions()

SHOPIFY = ProviderSpec(
    name="shopify",
    label="Shopify",
    build=Shopify,
    settings={"shopify_url": "https://{shop}"},
    consent_sources=("https://*.myshopify.com", "https://*.shopify.com"),
    link_options=frozenset({oauth.SHOP}),
    import_fields=frozenset({oauth.SHOP}),
    key_headers=frozenset({"x-shopify-access-token"}),
    refused_query_names=frozenset({"access_token"}),
    webhooks=ShopifyWebhooks(),
    subscriptions=SUBSCRIPTIONS,
    app_options={TOPICS: None},
    check_options=SUBSCRIPTIONS.check_options,
    wording=WORDING,
)
