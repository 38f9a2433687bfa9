"""The page behind the button: which app asks for what, consent started by POST, the outcome."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field, create_model

from broker.domain.browser_sessions import ConnectSession
from broker.domain.model import Caller, Secret
from broker.domain.urls import origin_of
from broker.errors import BrokerError, InvalidRequest, NotFound
from broker.providers.catalog import PROVIDERS
from broker.providers.wording import Question
from broker.services.installs.connect_sessions import ConnectFlow, PopupOpener, check_opener
from broker.services.installs.oauth_flow import LINK_LIFETIME
from broker.stores.connections.apps import Apps
from broker.web.core.cookies import Cookie, check_same_origin
from broker.web.core.middleware import LOG_FIELDS, problem
from broker.web.core.openapi import operation, public
from broker.web.core.pages import Pages
from broker.web.core.requests import SLUG, RequestModel, Text, UserRef, read_body, read_form
from broker.web.core.wording import explain, label_of, wording_of
from broker.web.inbound.oauth_callback import refused

NONCE = re.compile(r"[A-Za-z0-9_-]{16,128}")

COOKIE_MAX_AGE_S = int(LINK_LIFETIME.total_seconds())
"""How long a browser stays bound: as long as the link to HubSpot is valid (seconds)."""


QUESTIONS = sorted({name for spec in PROVIDERS for name in spec.wording.questions})
"""What users can be asked for that links need."""


class NewSessionBase(RequestModel):
    """Which user connects; `userLabel`, such as an e-mail address, is shown to that user.
    `expiresIn` is in seconds.
    """

    app: Annotated[str, Field(min_length=1, max_length=63)]
    userForeignIdentifier: UserRef
    userLabel: Annotated[Text, Field(max_length=255)] | None = None
    returnUrl: Text | None = None
    expiresIn: Annotated[int, Field(ge=1, le=86_400)] = 1800


NewSession: type[NewSessionBase] = create_model(
    "NewSession",
    __doc__="Which user connects, with what the provider needs to know of it; the page asks the "
    "user for what is left out.",
    __base__=NewSessionBase,
    **dict.fromkeys(QUESTIONS, (Text | None, None)),  # type: ignore[call-overload]
)


class Session(BaseModel):
    """Hand `url` to the user's browser; it works once."""

    token: str
    url: str
    expiresAt: datetime


class Progress(BaseModel):
    """How far a connect session is. `state` is `waiting` until the user goes on to HubSpot, then
    `started`; `outcome` is `connected`, `pending` or an error code once a visit there has ended.
    """

    state: Literal["waiting", "started"]
    outcome: str | None
    userForeignIdentifier: str


class ConnectHandlers:
    """`/api/connect/sessions` and `/connect/...`."""

    def __init__(
        self,
        apps: Apps,
        connecting: ConnectFlow,
        pages: Pages,
        public_url: str,
        consent_sources: Mapping[str, Sequence[str]],
    ) -> None:
        """`consent_sources`: where consent may lead, by the provider's name, as a CSP says it."""
        self._apps = apps
        self._connecting = connecting
        self._pages = pages
        self._public_url = public_url
        self._consent_sources = consent_sources
        self.cookie = Cookie("broker-connect", https=pages.https)

    @operation("connect", body=NewSession, answers={201: Session}, tags=("Connect",))
    async def create(
        self, _request: web.Request, caller: Caller, body: NewSessionBase
    ) -> tuple[int, Session]:
        """Create a connect session for one user.

        `returnUrl` must be one of the app's. 404 app-not-found when the key has no
        access to such an app.
        """
        slug = body.app.lower()
        if not SLUG.fullmatch(slug) or not caller.can_access_app(slug):
            slug = ""
        app = await self._apps.get(caller.workspace_id, slug)
        token, expires_at = await self._connecting.open(
            app,
            body.userForeignIdentifier,
            body.returnUrl,
            timedelta(seconds=body.expiresIn),
            body.userLabel,
            {name: value for name in QUESTIONS if (value := getattr(body, name)) is not None},
        )
        url = f"{self._public_url}/connect/{token.reveal()}"
        return 201, Session(token=token.reveal(), url=url, expiresAt=expires_at)

    @public(tags=("Connect",))
    async def show(self, request: web.Request) -> web.Response:
        """Show the consent page (safe to open more than once)."""
        session = None
        try:
            session = await self._connecting.peek(_token(request), self.cookie.read(request))
            opener = _opener(dict(request.query))
            check_opener(session.app, opener)
        except BrokerError as refusal:
            provider = None if session is None else session.app.provider
            return refused(request, self._pages, refusal, provider)
        request[LOG_FIELDS]["app"] = session.app.slug
        return self._shown(session, opener, {}, {})

    def _shown(
        self,
        session: ConnectSession,
        opener: PopupOpener | None,
        typed: Mapping[str, str],
        wrong: Mapping[str, str],
    ) -> web.Response:
        """The consent page, with what was typed and what is wrong with it."""
        wording = wording_of(session.app.provider)
        return self._pages.page(
            "pages/connect.html",
            400 if wrong else 200,
            posts_to=self._leads_to(session),
            images=_without_query(session.app.logo_url),
            product=session.app.display_name or session.workspace_name,
            logo=session.app.logo_url,
            user=session.user_label,
            label=label_of(session.app.provider),
            wording=wording,
            scopes=[wording.describe_scope(scope) for scope in session.app.scopes],
            optional=[wording.describe_scope(scope) for scope in session.app.optional_scopes],
            questions=_open_questions(session),
            typed=typed,
            wrong=wrong,
            opener=opener,
            back=session.return_url,
        )

    @public(answers={303: None}, tags=("Connect",))
    async def begin(self, request: web.Request) -> web.Response:
        """Send a user on to the provider; only the first browser can start a session."""
        provider = None
        try:
            check_same_origin(request, self._pages.origin, needs_proof=False)
            form = read_form(await read_body(request, 4096))
            answers = {name: form[name].strip() for name in QUESTIONS if form.get(name)}
            session = await self._connecting.peek(_token(request), self.cookie.read(request))
            provider = session.app.provider
            try:
                url, browser = await self._connecting.begin(
                    _token(request), self.cookie.read(request), _opener(form), answers
                )
            except InvalidRequest as unfit:
                wrong = {each["field"]: each["message"] for each in unfit.context.get("errors", [])}
                if not wrong.keys() & _open_questions(session).keys():
                    raise
                return self._shown(session, _opener(form), answers, wrong)
        except BrokerError as refusal:
            return refused(request, self._pages, refusal, provider)
        response = web.Response(status=303, headers={"Location": url})
        self.cookie.set(response, browser, COOKIE_MAX_AGE_S)
        return response

    @public(tags=("Connect",))
    async def ended(self, request: web.Request) -> web.Response:
        """Show the outcome to the browser that started; a popup reports it to its opener."""
        try:
            session = await self._connecting.get_finished(
                UUID(request.match_info["workspace"]),
                UUID(request.match_info["session"]),
                self.cookie.read(request),
            )
        except ValueError:
            return refused(request, self._pages, NotFound())
        except BrokerError as refusal:
            return refused(request, self._pages, refusal)
        outcome = session.outcome or "internal"
        explained = explain(outcome, session.app.provider)
        return self._pages.page(
            "pages/ended.html",
            outcome=outcome,
            label=label_of(session.app.provider),
            explained=explained,
            origin=session.origin,
            nonce=session.nonce,
            user=session.user_ref,
            return_url=session.return_url,
        )

    @public(answers={200: Progress}, tags=("Connect",))
    async def outcome(self, request: web.Request) -> web.Response:
        """Report how far the session is to the page that opened the popup.

        For pages at one of the app's origins that hold the session's URL and the popup's `nonce`.
        The button asks here when the popup can no longer report to it.
        """
        try:
            session = await self._connecting.get_progress(
                _token(request), request.headers.get("Origin", ""), request.query.get("nonce", "")
            )
        except BrokerError as refusal:
            response = problem(request, refusal)
        else:
            request[LOG_FIELDS]["app"] = session.app.slug
            response = web.json_response(text=_progress(session).model_dump_json())
        # The token in the address is the proof; no cookie goes with the request.
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    def _leads_to(self, session: ConnectSession) -> str:
        """Where consent may lead: browsers check each redirect that follows a form."""
        found = ["'self'", *self._consent_sources[session.app.provider]]
        found += [origin_of(value) for value in session.options.values() if "://" in value]
        if _open_questions(session):
            # The host is the user's to name.
            found.append("https:" if self._pages.https else "http:")
        if session.return_url is not None:
            parts = urlsplit(session.return_url)
            found.append(f"{parts.scheme}://{parts.netloc}")
        return " ".join(dict.fromkeys(found))


def _open_questions(session: ConnectSession) -> Mapping[str, Question]:
    """What the user is still to be asked for."""
    questions = wording_of(session.app.provider).questions
    return {name: each for name, each in questions.items() if name not in session.options}


def _progress(session: ConnectSession) -> Progress:
    return Progress(
        state="waiting" if session.browser_hash is None else "started",
        outcome=session.outcome,
        userForeignIdentifier=session.user_ref,
    )


def _without_query(url: str | None) -> str | None:
    """An image's URL as a Content-Security-Policy may name it."""
    return None if url is None else url.partition("?")[0]


def _token(request: web.Request) -> Secret:
    return Secret(request.match_info["token"])


def _opener(query: dict[str, str]) -> PopupOpener | None:
    origin, nonce = query.get("origin"), query.get("nonce")
    if not origin and not nonce:
        return None
    if not origin or not nonce or not NONCE.fullmatch(nonce):
        raise InvalidRequest("origin and nonce must be sent together.")
    return PopupOpener(origin, nonce)
