"""Who calls the REST API: version, session, scope, the org's budget of calls."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from aiohttp import web

from broker.sandbox.salesforce.errors import (
    ApiError,
    MultipleChoicesError,
    error_response,
    not_found,
)
from broker.sandbox.salesforce.oauth.grants import Session
from broker.sandbox.salesforce.oauth.parameters import HOST
from broker.sandbox.salesforce.org import Org
from broker.sandbox.salesforce.records.rules import Caller
from broker.sandbox.salesforce.world import Salesforce

OLDEST, NEWEST = 31, 68
RETIRED = range(7, OLDEST)
API_SCOPES = {"api", "full"}


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated call; `base` is the versioned path."""

    request: web.Request
    org: Org
    session: Session
    base: str
    caller: Caller

    async def body(self) -> dict[str, Any]:
        """The JSON object that the call carries; raises as Salesforce does."""
        if self.request.content_type != "application/json":
            problem = f"Content-Type not supported : {self.request.content_type}"
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", problem)
        try:
            read = json.loads(await self.request.read())
        except json.JSONDecodeError as wrong:
            problem = f"{wrong.msg} at [line:{wrong.lineno}, column:{wrong.colno}]"
            raise ApiError(400, "JSON_PARSER_ERROR", problem) from wrong
        except ValueError as wrong:
            raise ApiError(400, "JSON_PARSER_ERROR", "Invalid UTF-8") from wrong
        if not isinstance(read, dict):
            problem = "The HTTP entity body is required, but this request has no entity body."
            raise ApiError(400, "JSON_PARSER_ERROR", problem)
        return read

    def option(self, header: str, name: str) -> str | None:
        """An option of one of the Sforce headers, as in `allowSave=true; batchSize=200`."""
        pairs = re.split(r"[;,]", self.request.headers.get(header, ""))
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key.strip().lower() == name.lower():
                return value.strip()
        return None


Operation = Callable[[Call], Awaitable[web.Response]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def authenticated(world: Salesforce, operation: Operation) -> Handler:
    """An operation behind Salesforce's checks; its answer shows the remaining budget."""

    async def handle(request: web.Request) -> web.StreamResponse:
        call = _open(world, request)
        try:
            response = await operation(call)
        except (ApiError, MultipleChoicesError) as refused:
            response = error_response(refused)
        usage = f"api-usage={call.org.used_calls()}/{call.org.levers.api_budget}"
        response.headers["Sforce-Limit-Info"] = usage
        response.headers["Date"] = formatdate(world.now(), usegmt=True)
        return response

    return handle


def check_version(text: str) -> None:
    """Raises 404 for a version that never was, 410 for a retired one."""
    number = int(text.removesuffix(".0")) if re.fullmatch(r"\d{1,3}\.0", text) else -1
    if number in RETIRED:
        problem = f"API version v{text} is no longer supported"
        raise ApiError(410, "UNSUPPORTED_API_VERSION", problem)
    if not OLDEST <= number <= NEWEST:
        raise not_found()


def _open(world: Salesforce, request: web.Request) -> Call:
    host = request[HOST]
    if host.kind != "org":
        problem = "Destination URL not reset. The URL returned from login must be set"
        raise ApiError(404, "URL_NOT_RESET", problem)
    version = request.match_info["version"]
    check_version(version)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    session = None
    if scheme.lower() in {"bearer", "oauth"}:
        session = world.grants.find_session(token.strip(), world.now())
    if session is None or session.org_id != host.org_id:
        raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
    org = world.orgs[session.org_id]
    if not org.tables["User"][session.user_id]["IsActive"]:
        raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
    if not API_SCOPES & set(session.scopes):
        problem = "This session is not valid for use with the REST API"
        raise ApiError(401, "INVALID_SESSION_ID", problem)
    if org.levers.api_disabled:
        problem = "The REST API is not enabled for this Organization."
        raise ApiError(403, "API_DISABLED_FOR_ORG", problem)
    if org.used_calls() >= org.levers.api_budget:
        raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    org.calls.append(world.now())
    world.grants.use(session, world.now())
    return _call(request, org, session, f"/services/data/v{version}")


def _call(request: web.Request, org: Org, session: Session, base: str) -> Call:
    draft = Call(request, org, session, base, Caller(session.user_id))
    rule = "Sforce-Duplicate-Rule-Header"
    caller = Caller(
        session.user_id,
        auto_assign=request.headers.get("Sforce-Auto-Assign", "TRUE").upper() != "FALSE",
        allow_duplicates=(draft.option(rule, "allowSave") or "").lower() == "true",
        record_details=(draft.option(rule, "includeRecordDetails") or "").lower() == "true",
    )
    return Call(request, org, session, base, caller)
