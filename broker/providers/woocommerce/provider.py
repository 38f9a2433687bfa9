"""WooCommerce as the broker's services know it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from broker.domain.grants import Account, Tokens
from broker.domain.model import (
    App,
    Connection,
    Grant,
    PolicyRule,
    ProviderClient,
    ProxyCall,
    Secret,
)
from broker.errors import (
    ExchangeFailed,
    InvalidRequest,
    ProviderTimeout,
    ProviderUnavailable,
    wrong_field,
)
from broker.providers.base import Provider, ProviderContext, ProviderSpec
from broker.providers.calls import destination, effects
from broker.providers.calls.answers import Answer, request_id_in
from broker.providers.calls.effects import Effect
from broker.providers.calls.headers import HeaderFilter, response_headers
from broker.providers.calls.limits import QuotaLimit, retry_after
from broker.providers.calls.upstream import Destinations, encode_call, peek_body
from broker.providers.oauth import GrantEnded
from broker.providers.subscriptions import TOPICS
from broker.providers.values import Callback, ConsentRequest, Exchange, HandedOver, Renewable
from broker.providers.woocommerce import answers, keys, routes
from broker.providers.woocommerce.client import FAILURES, PLAIN, SiteClient
from broker.providers.woocommerce.sites import FIELD, account_of, read_site
from broker.providers.woocommerce.subscriptions import WooCommerceSubscriptions
from broker.providers.woocommerce.webhooks import WooCommerceWebhooks
from broker.providers.woocommerce.wording import WORDING

PERMALINKS = "permalinks"
KEY, SECRET = "consumerKey", "consumerSecret"


class WooCommerce(Provider):
    """WooCommerce: a site of its own for each connection, whose token is a key pair."""

    failures = FAILURES

    def __init__(self, context: ProviderContext) -> None:
        self.spec = WOOCOMMERCE
        self.deadlines = context.deadlines
        self._allow_private = context.allow_private
        self._destinations = Destinations(context.pools, public_only=not context.allow_private)
        self._client = SiteClient(self._destinations)
        self._headers = HeaderFilter(context.key_headers)

    async def close(self) -> None:
        """There is nothing of its own to end: the pools are the process's."""

    def check_link(self, app: App, options: Mapping[str, str]) -> Mapping[str, str]:
        """`site`: the shop's address."""
        site = super().check_link(app, options).get(FIELD)
        if site is None:
            raise wrong_field(
                FIELD, "is required: the shop's address, such as https://shop.example"
            )
        return {FIELD: read_site(site, allow_private=self._allow_private)}

    def reconnect_options(self, connection: Connection) -> Mapping[str, str]:
        """The same site again."""
        return {} if connection.api_url is None else {FIELD: connection.api_url}

    def uses_pkce(self, _app: App, _options: Mapping[str, str]) -> bool:
        """Keys come apart from the browser, so that there is nothing to protect."""
        return False

    def authorize_url(self, app: App, request: ConsentRequest) -> str:
        """The site's page at which a shopkeeper approves."""
        return keys.authorize_url(
            request.options[FIELD],
            app.display_name or app.slug,
            request.scopes,
            request.state.reveal(),
            request.redirect_url,
            request.keys_url,
        )

    def read_callback(self, query: Mapping[str, str]) -> Callback:
        """The browser coming back: `user_id` is the state; keys take the place of a code."""
        state = query.get("user_id")
        if state is None:
            raise InvalidRequest("Missing user_id parameter.")
        return Callback(query, Secret(state), None, keys.check_success(query.get("success")))

    def read_hand_over(self, body: bytes) -> HandedOver:
        """The key pair that the site posted."""
        return keys.read_hand_over(body)

    async def exchange(self, _app: App, request: Exchange) -> Tokens:
        """Prove the key that was handed over at the site of the link, and at no other."""
        scopes, pair = keys.parse_handed_over(request.code)
        try:
            return await self._tokens(request.options[FIELD], pair, scopes)
        except GrantEnded as ended:
            raise ExchangeFailed("The site does not accept the key that came for it.") from ended

    async def identify(self, _app: App, tokens: Tokens) -> Account | None:
        """The site, with its title."""
        account, details = tokens.account, tokens.details or {}
        if account is None or tokens.api_url is None:
            return None
        try:
            name = await self._client.name(tokens.api_url, details.get(PERMALINKS, ""))
        except (ProviderUnavailable, ProviderTimeout):
            return account  # a title is not worth another consent
        return replace(account, account_name=name or account.account_name)

    async def prove_credentials(
        self, app: App, fields: Mapping[str, Secret]
    ) -> tuple[Tokens, Account]:
        """A key pair that a shopkeeper made by hand, with its site. What it may do nobody can ask:
        what the app needs is assumed.
        """
        values = {name: value.reveal() for name, value in fields.items()}
        site = self.check_link(app, {FIELD: values[FIELD]} if FIELD in values else {})[FIELD]
        pair = keys.pair_of(values.get(KEY), values.get(SECRET), KEY, SECRET)
        try:
            tokens = await self._tokens(site, pair, keys.GRANTED[keys.scope_of(app.scopes)])
        except GrantEnded as ended:
            raise wrong_field(
                KEY, "is not accepted by the site, or not with this secret"
            ) from ended
        except ExchangeFailed as refused:
            raise wrong_field(FIELD, f"cannot be used: {refused.detail}") from refused
        account = await self.identify(app, tokens)
        if account is None:
            raise wrong_field(FIELD, "is not a site")
        return tokens, account

    async def refresh(self, _client: ProviderClient, renewable: Renewable) -> Tokens:
        """The same key, once the site says that it accepts it. Raises GrantEnded when not."""
        pair, site = renewable.access_token, renewable.api_url
        if pair is None or site is None:
            raise GrantEnded("token-refused")  # a token from elsewhere; keys are imported as such
        return await self._tokens(site, pair, ())

    async def revoke(
        self, _client: ProviderClient, _token: Secret, _details: Mapping[str, str]
    ) -> bool:
        """WooCommerce's API cannot revoke a key; the shopkeeper can."""
        return False

    def effect_of(self, method: str, target: str) -> Effect:
        """By the method, but for batches, which may delete."""
        return routes.effect_of(method, target)

    def allows(self, rules: Iterable[PolicyRule], method: str, target: str) -> bool:
        """Whether one of the rules, in paths that begin with /wp-json, covers a call."""
        effect = self.effect_of(method, target)
        return effects.allows(rules, method, effect, routes.route_of(target))

    def quota_of(self, _method: str, _target: str) -> QuotaLimit:
        """No limit is known ahead."""
        return answers.CALLS

    def check_call(self, target: str) -> None:
        """Raise InvalidRequest for anything but a call to the REST API that means what it shows."""
        routes.route_of(target)

    def target_of(self, url: str, connection: Connection) -> str:
        """The target of a URL at the connection's site."""
        site = connection.api_url
        return destination.target_of(url, () if site is None else (site,), label="the site")

    def template_of(self, target: str) -> str:
        """A path of WooCommerce's words alone."""
        return routes.template_of(target)

    async def send(
        self,
        call: ProxyCall,
        connection: Connection,
        grant: Grant,
        within: float,
        *,
        repeats: bool,
    ) -> Answer:
        """Send a call to the connection's site, with its key by Basic and in no other way."""
        if connection.api_url is None:
            raise FAILURES.unavailable("The connection has no site.")
        if call.method == "POST" and any(
            routes.is_form(value) for name, value in call.headers if name.lower() == "content-type"
        ):
            raise InvalidRequest("Send JSON: a form could name another route than its path does.")
        if connection.details.get(PERMALINKS) == PLAIN:
            call = replace(call, target=routes.plain_target(call.target))
        there = self._destinations.at(connection.api_url)
        request, rest = encode_call(call, there, self._headers, (keys.basic(grant.access_token),))
        try:
            answer = await there.pool.send(
                request,
                rest,
                min(within, self.deadlines.total),
                bodiless=call.method == "HEAD",
                repeats=repeats,
            )
            refusal = await peek_body(answer) if answer.status == 401 else b""
        except OSError as error:
            raise FAILURES.refusal(error) from error
        return Answer(
            answer.status,
            answer.reason,
            response_headers(answer.raw),
            answer,
            answers.rejects_key(answer.status, refusal),
            answers.read_rate_limit(answer.status, answer.headers),
            None if answer.status < 400 else retry_after(answer.headers),
            answer.close,
            request_id=request_id_in(answer.headers),
        )

    async def _tokens(self, site: str, pair: Secret, scopes: tuple[str, ...]) -> Tokens:
        permalinks = await self._client.prove(site, pair)
        account = Account(account_of(site), account_of(site), None, scopes)
        return Tokens(
            pair, None, None, account, scopes, api_url=site, details={PERMALINKS: permalinks}
        )


SUBSCRIPTIONS = WooCommerceSubscriptions()

WOOCOMMERCE = ProviderSpec(
    name="woocommerce",
    label="WooCommerce",
    build=WooCommerce,
    settings={},
    link_options=frozenset({FIELD}),
    needs_client=False,
    refused_query_names=frozenset({"consumer_key", "consumer_secret"}),
    scopes=keys.SCOPES,
    hands_over_keys=True,
    import_fields=frozenset({FIELD, KEY, SECRET}),
    webhooks=WooCommerceWebhooks(),
    subscriptions=SUBSCRIPTIONS,
    app_options={TOPICS: None},
    check_options=SUBSCRIPTIONS.check_options,
    wording=WORDING,
)
