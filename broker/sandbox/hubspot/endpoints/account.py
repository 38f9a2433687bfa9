"""The account itself: its owners, its details, its usage, and leaving it."""

from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused, answer
from broker.sandbox.hubspot.crm.definitions import BORN
from broker.sandbox.hubspot.endpoints.crm.entry import Call, Work, entered
from broker.sandbox.hubspot.portal import FIRST_OWNER_ID, FIRST_USER_ID
from broker.sandbox.hubspot.world import Sandbox

DATED = "{version:2026-03|2026-09}"
VERSIONS = "{version:v3|2026-03|2026-09}"
# The old Python SDK adds a slash to the path.
OWNERS = ("/crm/v3/owners", "/crm/v3/owners/", f"/crm/owners/{DATED}")


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    """Every endpoint of this module."""
    table: list[tuple[str, str, Work]] = [
        *(("GET", path, owners) for path in OWNERS),
        ("GET", "/crm/v3/owners/{ownerId}", owner),
        ("GET", f"/crm/owners/{DATED}/{{ownerId}}", owner),
        ("GET", f"/account-info/{VERSIONS}/details", details),
        ("GET", f"/account-info/{VERSIONS}/api-usage/daily/private-apps", usage),
        ("DELETE", f"/appinstalls/{VERSIONS}/external-install", uninstall),
    ]
    return [web.route(method, path, entered(sandbox, work)) for method, path, work in table]


def _owners(call: Call) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for index, email in enumerate(call.portal.users):
        first, _, last = email.partition("@")[0].partition(".")
        made.append(
            {
                "id": str(FIRST_OWNER_ID + index),
                "email": email,
                "type": "PERSON",
                "firstName": first.title(),
                "lastName": last.title(),
                "userId": FIRST_USER_ID + index,
                "userIdIncludingInactive": FIRST_USER_ID + index,
                "createdAt": BORN,
                "updatedAt": BORN,
                "archived": False,
                "teams": [{"id": "1", "name": "Sales", "primary": True}],
            }
        )
    return made


async def owners(call: Call) -> web.StreamResponse:
    """List the possible owners of records."""
    call.require(("crm.objects.owners.read",))
    query = call.request.query
    archived = query.get("archived") == "true"
    email = query.get("email")
    found = [each for each in _owners(call) if email in {None, each["email"]} and not archived]
    page, more = call.page(found, call.number("limit", 100, 500), call.number("after", 0, 2**53))
    return answer({"results": page, **more})


async def owner(call: Call) -> web.StreamResponse:
    """Read one owner by owner id or user id."""
    call.require(("crm.objects.owners.read",))
    field = "userId" if call.request.query.get("idProperty") == "userId" else "id"
    for each in _owners(call):
        if str(each[field]) == call.request.match_info["ownerId"]:
            return answer(each)
    raise Refused(404, "resource not found")


async def details(call: Call) -> web.StreamResponse:
    """Show the account's details."""
    return answer(
        {
            "portalId": call.portal.hub_id,
            "accountType": "STANDARD",
            "timeZone": "US/Eastern",
            "companyCurrency": "USD",
            "additionalCurrencies": [],
            "utcOffset": "-05:00",
            "utcOffsetMilliseconds": -18_000_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }
    )


async def usage(_call: Call) -> web.StreamResponse:
    """Show the usage of private apps, which do not exist here."""
    return answer({"results": []})


async def uninstall(call: Call) -> web.StreamResponse:
    """Remove the app from the account."""
    call.sandbox.revoke_grants(call.portal.hub_id, call.access.refresh.client_id)
    return web.Response(status=204)
