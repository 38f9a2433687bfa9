"""The only module that opens a connection to HubSpot."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from broker.domain.model import Account, App, ProxyCall, Secret, Tokens
from broker.errors import HubSpotUnavailable
from broker.providers.hubspot import limits, oauth
from broker.providers.hubspot.answers import Answer
from broker.providers.hubspot.events import journal
from broker.providers.hubspot.headers import request_headers, response_headers
from broker.providers.transport.egress import proxy_for
from broker.providers.transport.failures import to_refusal, with_deadline
from broker.providers.transport.pool import Pool
from broker.providers.transport.request import encode_request
from broker.providers.transport.response import UpstreamResponse

OAUTH_S = 8.0
"""How long the token endpoint may take; a renewal holds a row lock meanwhile."""

LONGEST_WAIT_S = 60
"""For how long a 429 to a question of ours is believed."""

OWN_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "hubspot-broker",
}
"""What a question of the broker's own says of itself: edges refuse requests without a name, and
compress answers for those that do not mind."""

OAUTH_BYTES = 262_144
REFUSAL_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a proxied call may take, in seconds."""

    connect: float = 5
    idle: float = 60
    total: float = 120


class HubSpot:
    """HubSpot over HTTP: its token endpoints, and calls passed on as they are."""

    def __init__(
        self,
        api_url: str,
        consent_url: str,
        oauth_version: str,
        deadlines: Deadlines = Deadlines(),  # frozen
    ) -> None:
        self.api_url = api_url
        self.consent_url = consent_url
        base = URL(api_url)
        self._authority = base.raw_authority
        self._prefix = base.raw_path.rstrip("/")
        self._tokens_url = f"{api_url}/oauth/{oauth_version}/token"
        # Account information is versioned by the same dates as OAuth, from v3 on.
        self._account_url = f"{api_url}/account-info/{oauth_version}/details"
        self.deadlines = deadlines
        self._pool = Pool(base, deadlines.connect, deadlines.idle)
        # Questions of our own, which are few: no cookie jar, nothing added, nothing decompressed.
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
        )

    async def close(self) -> None:
        self._pool.close()
        await self._session.close()

    @property
    def in_flight(self) -> int:
        """How many proxied calls HubSpot has not answered to the end."""
        return self._pool.in_flight

    async def send(
        self, call: ProxyCall, access_token: Secret, within: float, *, repeats: bool
    ) -> Answer:
        """Send a call as one user; HubSpot's answer, still arriving, which the caller closes.

        `within` is in seconds, for the answer to its end; the deadlines apply besides. `repeats`:
        whether it may go out again where a kept connection proves dead. Raises
        HubSpotUnavailable or HubSpotTimeout when there is no answer, `unsent` when HubSpot surely
        got nothing; a failure after the head is an OSError out of `chunks`, for then it is too late
        to refuse.
        """
        headers = [("Host", self._authority), *request_headers(call.headers)]
        headers.append(("Authorization", f"Bearer {access_token.reveal()}"))
        length = None
        if call.body is not None and not isinstance(call.body, bytes):
            sent = (value for name, value in call.headers if name.lower() == "content-length")
            length = next(sent, None)
        request, rest = encode_request(
            call.method, self._prefix + call.target, headers, call.body, length
        )
        try:
            answer = await self._pool.send(
                request,
                rest,
                min(within, self.deadlines.total),
                bodiless=call.method == "HEAD",
                repeats=repeats,
            )
            refusal = b""
            if answer.status in {401, 429}:
                refusal = await _peek_body(answer)
        except OSError as error:
            raise to_refusal(error) from error
        headers = response_headers(answer.raw)
        return Answer(
            answer.status,
            answer.reason,
            headers,
            answer,
            answer.status == 401 and oauth.says_expired(answer.raw, refusal),
            limits.read_rate_limit(call.target, answer.status, answer.headers, refusal),
            None if answer.status < 400 else limits.retry_after(answer.headers),
            answer.close,
        )

    async def exchange(
        self, app: App, code: Secret, redirect_url: str, verifier: Secret | None
    ) -> Tokens:
        """Turn an authorization code into tokens. Raises as `oauth.read_tokens` does."""
        form = oauth.exchange_form(code, redirect_url, verifier)
        return await self._ask_tokens(app.client_id, app.client_secret, form)

    async def refresh(self, client_id: str, client_secret: Secret, token: Secret) -> Tokens:
        """Renew a grant. Raises as `oauth.read_tokens` does."""
        return await self._ask_tokens(client_id, client_secret, oauth.refresh_form(token))

    async def introspect(self, app: App, access_token: Secret) -> Account | None:
        """Whose account a token speaks for; None when it is not active."""
        status, body = await self._post(
            f"{self._tokens_url}/introspect",
            app.client_id,
            app.client_secret,
            {"token": access_token.reveal(), "token_type_hint": "access_token"},
        )
        return oauth.read_account(status, body)

    async def account(self, access_token: Secret) -> Account | None:
        """Whose account a private app's token speaks for, by one read; None when it is refused."""
        headers = {"Authorization": f"Bearer {access_token.reveal()}"}
        status, body = await self._ask("GET", self._account_url, headers=headers)
        return oauth.read_account_info(status, body)

    async def revoke(self, client_id: str, client_secret: Secret, token: Secret) -> bool:
        """Revoke a refresh token; whether HubSpot took it (or knew it no more).

        Raises HubSpotUnavailable or HubSpotTimeout when asking again may help.
        """
        status, _ = await self._post(
            f"{self._tokens_url}/revoke",
            client_id,
            client_secret,
            {"token": token.reveal(), "token_type_hint": "refresh_token"},
        )
        if status == 429 or status >= 500:
            raise HubSpotUnavailable(f"HubSpot's revocation answered {status}.")
        return status < 300 or status == 404

    async def app_token(self, client_id: str, client_secret: Secret) -> Secret:
        """A token of the app itself, for the journal. Raises as `oauth.read_tokens` does."""
        tokens = await self._ask_tokens(client_id, client_secret, journal.token_form())
        return tokens.access_token

    async def subscribe_to_lifecycle(self, token: Secret) -> None:
        """Have the journal tell of installs and uninstalls. HubSpot may know that already."""
        for event_type in journal.LIFECYCLE:
            await self._ask(
                "POST",
                f"{self.api_url}/webhooks-journal/subscriptions/{journal.VERSION}",
                json=journal.subscription(event_type),
                headers={"Authorization": f"Bearer {token.reveal()}"},
            )

    async def journal_file(self, token: Secret, offset: str | None) -> tuple[str, bytes] | None:
        """The journal's file after an offset (see `journal.path_of`) with its own; None when there
        is none yet. Raises as `journal.read_file` does.
        """
        status, body = await self._ask(
            "GET",
            self.api_url + journal.path_of(offset),
            headers={"Authorization": f"Bearer {token.reveal()}"},
        )
        file = journal.read_file(status, body, self.api_url)
        if file is None:
            return None
        # The address is a capability of its own; the token stays with the API.
        status, body = await self._ask("GET", file.url, at_most=journal.FILE_BYTES + 1)
        if status != 200 or len(body) > journal.FILE_BYTES:
            raise HubSpotUnavailable(f"HubSpot's journal storage answered {status}.")
        return file.offset, body

    async def _ask_tokens(self, client_id: str, secret: Secret, form: dict[str, str]) -> Tokens:
        status, body = await self._post(self._tokens_url, client_id, secret, form)
        return oauth.read_tokens(status, body)

    async def _post(
        self, url: str, client_id: str, client_secret: Secret, form: dict[str, str]
    ) -> tuple[int, bytes]:
        # Everything is in the body: HubSpot documents no other way, and URLs end up in logs.
        form = {"client_id": client_id, "client_secret": client_secret.reveal(), **form}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._ask("POST", url, form=form, headers=headers)

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        form: dict[str, str] | None = None,
        json: Any = None,
        headers: dict[str, str] | None = None,
        at_most: int = OAUTH_BYTES,
    ) -> tuple[int, bytes]:
        async def ask() -> tuple[int, bytes]:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=None if form is None else urlencode(form).encode(),
                json=json,
                headers={**OWN_HEADERS, **(headers or {})},
                allow_redirects=False,
                proxy=proxy_for(URL(url)),
                timeout=aiohttp.ClientTimeout(total=None),
            ) as response:
                if response.status == 429:
                    wait = min(int(limits.retry_after(response.headers) or 0), LONGEST_WAIT_S)
                    raise HubSpotUnavailable(
                        "HubSpot asks to be left alone.", retry_after=wait or None
                    )
                return response.status, await _read(response.content, at_most)

        try:
            return await with_deadline(OAUTH_S, ask())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise to_refusal(error) from error


async def read_body(answer: Answer, at_most: int) -> bytes:
    """An answer's body up to a size. Raises HubSpotUnavailable or HubSpotTimeout when it is cut."""
    parts, size = [], 0
    try:
        async for chunk in answer.chunks:
            parts.append(chunk)
            size += len(chunk)
            if size >= at_most:
                break
    except OSError as error:
        raise to_refusal(error) from error
    return b"".join(parts)[:at_most]


async def _peek_body(answer: UpstreamResponse) -> bytes:
    """The first bytes of a refusal, which stay in it."""
    parts, size = [], 0
    try:
        while size < REFUSAL_BYTES and (part := await answer.read()):
            parts.append(part)
            size += len(part)
    except BaseException:
        answer.close()
        raise
    read = b"".join(parts)
    answer.put_back(read)
    return read


async def _read(content: aiohttp.StreamReader, at_most: int) -> bytes:
    parts, size = [], 0
    while size < at_most and (part := await content.read(at_most - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
