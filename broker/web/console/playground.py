"""A proxied call as any connected user, with the curl that does the same."""

import json
import shlex
import time
from typing import Any, Literal
from urllib.parse import quote

import aiohttp
from aiohttp import web
from pydantic import Field

from broker.domain.browser_sessions import Operator
from broker.domain.model import ProxyCall, Status
from broker.domain.urls import path_of
from broker.errors import ConnectionNotFound, ProviderUnavailable
from broker.providers.calls.destination import target_or_url
from broker.services.proxy.forwarding import Proxy
from broker.stores.connections.connections import Connections
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.middleware import REQUEST_ID
from broker.web.core.requests import RequestModel, UserRef, validate
from broker.web.core.wording import label_of, wording_of

SHOWN_BYTES = 262_144
SUGGESTED = 20


class Call(RequestModel):
    """A call as an operator types it."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    path: str = Field(min_length=1, max_length=8192)
    user: UserRef
    body: str = Field(default="", max_length=200_000)


class PlaygroundViews:
    """`/console/playground`."""

    def __init__(
        self,
        console: ConsoleBase,
        proxy: Proxy,
        connections: Connections,
        public_url: str,
    ) -> None:
        self.console = console
        self._proxy = proxy
        self._connections = connections
        self._public_url = public_url

    @for_operators("proxy", "proxy:read")
    async def form(self, request: web.Request, operator: Operator) -> web.Response:
        """The form."""
        apps, slug = await self.console.choose(request, operator)
        chosen = next((app for app in apps if app.slug == slug), apps[0] if apps else None)
        providers = {app.provider for app in apps}
        examples = wording_of(None if chosen is None else chosen.provider).examples
        return self.console.render(
            operator,
            "playground.html",
            "playground",
            apps=apps,
            slug=slug,
            user=request.query.get("user", ""),
            examples=[(label_of(each), wording_of(each).examples) for each in sorted(providers)],
            first=next(iter(examples), None),
        )

    @for_operators("connect")
    async def users(self, request: web.Request, operator: Operator) -> web.Response:
        """Users of an app to choose from."""
        app = await self.console.app(operator, request.query.get("app", ""))
        text = request.query.get("user", "")[:255]
        page = await self._connections.search(
            app, text, status=Status.ACTIVE, before=None, limit=SUGGESTED
        )
        return self.console.render(operator, "users.part.html", users=page.records)

    @for_operators("proxy", "proxy:read")
    async def call(self, request: web.Request, operator: Operator) -> web.Response:
        """Make the call, with all that the operator's key may and no more."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        typed = validate(Call, {name: form.get(name, [""])[0] for name in Call.model_fields})
        body = (
            typed.body.encode()
            if typed.body.strip() and typed.method not in {"GET", "HEAD"}
            else None
        )
        headers = [("Accept", "application/json"), ("Accept-Encoding", "identity")]
        if body is not None:
            headers.append(("Content-Type", "application/json"))
        target = target_or_url(typed.path)
        call = ProxyCall(
            app.slug,
            typed.user,
            typed.method,
            target,
            headers,
            body,
            request_id=request[REQUEST_ID],
        )
        began = time.perf_counter()
        try:
            async with self._proxy.forward(operator.caller, call) as answer:
                got, cut = b"", False
                async for chunk in answer.chunks:
                    got += chunk
                    if len(got) > SHOWN_BYTES:
                        cut = True
                        break
        except ConnectionNotFound:
            raise ConnectionNotFound(f"Nobody called {typed.user} is connected.") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderUnavailable("The answer broke off.") from error
        return self.console.render(
            operator,
            "answer.part.html",
            status_code=answer.status,
            reason=answer.reason,
            ms=round((time.perf_counter() - began) * 1000),
            headers=answer.headers,
            body=_readable(got[:SHOWN_BYTES], cut),
            cut=cut,
            curl=self._curl(call, body),
        )

    def _curl(self, call: ProxyCall, body: bytes | None) -> str:
        """The same call for a shell, the key left to its environment."""
        user = quote(call.user_ref, safe="")
        url = f"{self._public_url}/proxy/{call.app_slug}/{user}{path_of(call.target)}"
        parts = ["curl", '-H "Authorization: Bearer $KEY"', shlex.quote(url)]
        if call.method == "HEAD":
            parts.insert(1, "--head")
        elif call.method != "GET":
            parts.insert(1, f"-X {call.method}")
        if body is not None:
            parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body.decode())}"]
        return " ".join(parts)


def _readable(body: bytes, cut: bool) -> str:
    text = body.decode(errors="replace")
    if cut:
        return text
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return json.dumps(value, indent=2, ensure_ascii=False)
