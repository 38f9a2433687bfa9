"""`POST /oauth/token`: OAuth 2.0 client credentials, on Authlib's authorization server.

Authlib's core is synchronous and pure: the client is read before it runs and the token is stored
after.
"""

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from aiohttp import web
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator

from broker.domain.model import KEY_SCOPES, Secret
from broker.errors import BodyTooLarge, InvalidRequest, NotAuthenticated
from broker.services.access.callers import read_basic
from broker.stores.access.keys import TOKEN, Keys, TokenClient
from broker.web.core.cookies import check_not_cross_site
from broker.web.core.openapi import self_authenticating
from broker.web.core.requests import read_body, read_form, read_json

LIFETIME = timedelta(hours=24)
"""As StackGo's tokens."""

AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


class _Client(ClientMixin):  # type: ignore[misc]
    def __init__(self, client: TokenClient) -> None:
        self.client = client

    def get_client_id(self) -> str:
        return self.client.client_id

    def get_allowed_scope(self, scope: str | None) -> str:
        wanted = scope.split() if scope else sorted(self.client.scopes)
        return " ".join(each for each in wanted if each in self.client.scopes)

    def check_client_secret(self, secret: str) -> bool:
        return self.client.proves(secret)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def validate_requested_scope(self) -> None:
        # Authlib would issue a token without the scopes that the client lacks; we say so instead.
        super().validate_requested_scope()
        wanted = (self.request.payload.scope or "").split()
        if not set(wanted) <= set(self.request.client.client.scopes):
            raise InvalidScopeError


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, headers: Any, form: dict[str, str]) -> None:
        # Authlib refuses http; TLS ends in front of us and the address plays no part here.
        super().__init__("POST", "https://broker/oauth/token", headers=headers)
        self._fields = form
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self) -> dict[str, str]:
        return self._fields


class _Server(AuthorizationServer):  # type: ignore[misc]
    """One per request."""

    def __init__(self, client: _Client | None) -> None:
        super().__init__(list(KEY_SCOPES))
        self._client = client
        self.issued: dict[str, Any] | None = None
        self.register_grant(_Grant)
        self.register_token_generator(
            "default",
            BearerTokenGenerator(
                access_token_generator=self._mint, expires_generator=self._lifetime
            ),
        )

    def query_client(self, client_id: str) -> _Client | None:
        client = self._client
        return client if client is not None and client.get_client_id() == client_id else None

    def save_token(self, token: dict[str, Any], _request: OAuth2Request) -> None:
        self.issued = token

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Send nothing: there are no listeners."""

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> web.Response:
        kept = {name: value for name, value in headers if name.lower() != "content-type"}
        return web.json_response(body, status=status, headers=kept)

    def _mint(self, client: _Client, *_args: Any, **_kwargs: Any) -> str:
        return f"{TOKEN}{client.client.workspace_id.hex}{secrets.token_urlsafe(32)}"

    def _lifetime(self, _client: _Client, _grant_type: str) -> int:
        return int(LIFETIME.total_seconds())


class TokenHandlers:
    """`/oauth/token`."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    @self_authenticating(tags=("Keys",))
    async def token(self, request: web.Request) -> web.Response:
        """Issue an access token for a key's client id and secret.

        Form, JSON or HTTP Basic; `audience` is accepted and ignored. Errors are those of
        RFC 6749 section 5.2.
        """
        check_not_cross_site(request.headers)
        try:
            form = await _form(request)
        except (InvalidRequest, BodyTooLarge) as wrong:
            error = InvalidRequestError(description=wrong.detail)
            return _Server(None).handle_response(*error())
        try:
            client_id = _basic_client_id(request) or form.get("client_id")
        except NotAuthenticated:
            error = InvalidClientError(status_code=401)
            return _Server(None).handle_response(*error())
        found = await self._keys.find_client(client_id) if client_id else None
        # An unknown client gets the same answer as one with a wrong secret.
        unknown = TokenClient(UUID(int=0), UUID(int=0), client_id or "", b"", ())
        server = _Server(_Client(found or unknown))
        response: web.Response = server.create_token_response(_Request(request.headers, form))
        if found is not None and server.issued is not None:
            await self._keys.store_token(
                found,
                Secret(server.issued["access_token"]),
                server.issued["scope"].split(),
                LIFETIME,
            )
        return response


def _basic_client_id(request: web.Request) -> str | None:
    """The client id in the header, which Authlib reads again. Raises NotAuthenticated for a header
    that Authlib cannot read.
    """
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, credentials = header.partition(" ")
    if not header.isascii() or not credentials.strip():
        raise NotAuthenticated
    return read_basic(credentials.strip())[0] if scheme.lower() == "basic" else None


async def _form(request: web.Request) -> dict[str, str]:
    raw = await read_body(request, 16_384)
    if request.content_type == "application/json":
        value = read_json(raw)
        if not isinstance(value, dict):
            raise InvalidRequest("The body is not a JSON object.")
        return {str(name): each for name, each in value.items() if isinstance(each, str)}
    return read_form(raw)
