"""What people do to records in Salesforce's own pages, where the API's rules do not apply."""

from typing import Any

from aiohttp import web

from broker.sandbox.core.control.requests import Handler, guarded, read_object
from broker.sandbox.salesforce.control.levers import org_of
from broker.sandbox.salesforce.endpoints.shown import shown
from broker.sandbox.salesforce.ids import parse_id
from broker.sandbox.salesforce.org import Org, Record
from broker.sandbox.salesforce.records import lifecycle, writes
from broker.sandbox.salesforce.records.rules import Caller
from broker.sandbox.salesforce.records.values import to_stored
from broker.sandbox.salesforce.schema.fields import SObject
from broker.sandbox.salesforce.seed import plant
from broker.sandbox.salesforce.world import Salesforce

MOST = 20_000


class PeopleEndpoints:
    """Records, by hand: written as the org's admin."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        records = "/_sandbox/records/{sobject}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", records, self.index),
            ("POST", records, self.create),
            ("PATCH", f"{records}/{{id}}", self.update),
            ("DELETE", f"{records}/{{id}}", self.delete),
            ("POST", f"{records}/{{id}}/undelete", self.undelete),
            ("POST", f"{records}/{{id}}/purge", self.purge),
            ("POST", "/_sandbox/records/Lead/{id}/convert", self.convert),
            ("POST", f"{records}/{{id}}/merge", self.merge),
            ("POST", "/_sandbox/seed", self.seed),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    async def index(self, request: web.Request) -> web.Response:
        """List an object's records, deleted ones too, with every field."""
        org, kind = self._table(request, dict(request.query))
        rows = list(org.tables[kind.name].values())
        every = list(kind.fields.values())
        return web.json_response([shown("", kind, each, every) for each in rows])

    async def create(self, request: web.Request) -> web.Response:
        """Create a record from its fields; the org's rules are not applied."""
        payload = await read_object(request)
        org, kind = self._table(request, payload)
        values = _values(org, kind, payload)
        if "ownerid" in kind.fields:
            values.setdefault("OwnerId", org.default_lead_owner)
        record = org.insert(kind.name, values, org.default_lead_owner)
        return web.json_response({"id": record["Id"]}, status=201)

    async def update(self, request: web.Request) -> web.Response:
        """Change fields of a record."""
        payload = await read_object(request)
        org, kind = self._table(request, payload)
        record = _record(org, kind, request.match_info["id"])
        record.update(_values(org, kind, payload))
        org.touch(kind, record, org.default_lead_owner)
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a record."""
        org, kind = self._table(request, dict(request.query))
        record = _record(org, kind, request.match_info["id"])
        writes.delete(org, Caller(org.default_lead_owner), kind, record)
        return web.Response(status=204)

    async def undelete(self, request: web.Request) -> web.Response:
        """Restore a record."""
        org, kind = self._table(request, dict(request.query))
        record = _record(org, kind, request.match_info["id"])
        lifecycle.undelete(org, kind.name, record, org.default_lead_owner)
        return web.Response(status=204)

    async def purge(self, request: web.Request) -> web.Response:
        """Empty a record from the recycle bin."""
        org, kind = self._table(request, dict(request.query))
        lifecycle.purge(org, kind.name, _record(org, kind, request.match_info["id"]))
        return web.Response(status=204)

    async def convert(self, request: web.Request) -> web.Response:
        """Convert a lead; `opportunity` makes one as well. The ids of what it became."""
        payload = await read_object(request)
        org = org_of(self._world, payload)
        lead = _record(org, org.objects["lead"], request.match_info["id"])
        with_opportunity = bool(payload.get("opportunity"))
        lifecycle.convert(org, lead, org.default_lead_owner, opportunity=with_opportunity)
        names = ("ConvertedAccountId", "ConvertedContactId", "ConvertedOpportunityId")
        return web.json_response({name: lead[name] for name in names})

    async def merge(self, request: web.Request) -> web.Response:
        """Merge the record of `loser` into this one."""
        payload = await read_object(request)
        org, kind = self._table(request, payload)
        winner = _record(org, kind, request.match_info["id"])
        loser = _record(org, kind, str(payload["loser"]))
        lifecycle.merge(org, kind.name, winner, loser, org.default_lead_owner)
        return web.Response(status=204)

    async def seed(self, request: web.Request) -> web.Response:
        """Fill an org with believable leads: leads (how many)."""
        payload = await read_object(request)
        org, number = org_of(self._world, payload), int(payload.get("leads", 25))
        if not 0 <= number <= MOST:
            raise ValueError(f"leads is at most {MOST}")
        plant(org, number)
        return web.json_response({"leads": len(org.tables["Lead"])}, status=201)

    def _table(self, request: web.Request, payload: dict[str, Any]) -> tuple[Org, SObject]:
        org = org_of(self._world, payload)
        return org, org.objects[request.match_info["sobject"].lower()]


def _values(org: Org, kind: SObject, payload: dict[str, Any]) -> Record:
    fields = {name: value for name, value in payload.items() if name != "org"}
    return {
        kind.fields[name.lower()].name: to_stored(org, kind.fields[name.lower()], value)
        for name, value in fields.items()
    }


def _record(org: Org, kind: SObject, text: str) -> Record:
    return org.tables[kind.name][parse_id(text) or ""]
