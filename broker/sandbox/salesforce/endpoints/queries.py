"""SOQL over HTTP: pages of a query, and of what changed between two times."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from broker.sandbox.salesforce.endpoints.access import Call, authenticated
from broker.sandbox.salesforce.endpoints.general import DATA
from broker.sandbox.salesforce.endpoints.shown import attributes
from broker.sandbox.salesforce.errors import ApiError, json_response
from broker.sandbox.salesforce.org import DAY_S, Record
from broker.sandbox.salesforce.records.writes import find_type
from broker.sandbox.salesforce.soql.parsing import parse
from broker.sandbox.salesforce.soql.running import Run
from broker.sandbox.salesforce.stamps import moment, parse_moment, to_json
from broker.sandbox.salesforce.world import Salesforce

PAGE = 2000
SMALLEST_PAGE = 200
CURSOR_LIFETIME_S = 2 * DAY_S
CURSOR_DAYS = 30


class QueryEndpoints:
    """`/query`, `/queryAll`, `/sobjects/{type}/updated` and `/deleted`."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table = [
            (f"{DATA}/query", self.query),
            (f"{DATA}/queryAll", self.query_all),
            (f"{DATA}/query/{{locator}}", self.more),
            (f"{DATA}/queryAll/{{locator}}", self.more),
            (f"{DATA}/sobjects/{{sobject}}/updated", self.updated),
            (f"{DATA}/sobjects/{{sobject}}/deleted", self.deleted),
        ]
        return [
            web.get(each, authenticated(self._world, operation))
            for path, operation in table
            for each in ((path,) if path.endswith("{locator}") else (path, f"{path}/"))
        ]

    async def query(self, call: Call) -> web.Response:
        """Run a query over live records."""
        return self._run(call, deleted=False)

    async def query_all(self, call: Call) -> web.Response:
        """Run a query over deleted and merged records as well."""
        return self._run(call, deleted=True)

    def _run(self, call: Call, *, deleted: bool) -> web.Response:
        text = call.request.query.get("q")
        if text is None:
            raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        query = parse(text)
        run = Run(call.org, text, query)
        rows = run.rows(deleted=deleted)
        if not query.fields:
            return json_response({"totalSize": len(rows), "done": True, "records": []})
        records = [self._row(call, run, each) for each in rows]
        batch_size = call.option("Sforce-Query-Options", "batchSize") or ""
        size = min(max(int(batch_size), SMALLEST_PAGE), PAGE) if batch_size.isdecimal() else PAGE
        size = min(size, call.org.levers.page_size)
        locator = call.org.next_id("QueryLocator")
        if len(records) > size:
            now = self._world.now()
            self._world.cursors[locator] = (call.session.user_id, records, size, now)
        return self._page(call, locator, records, 0, size)

    def _row(self, call: Call, run: Run, record: Record) -> dict[str, Any]:
        row: dict[str, Any] = {"attributes": attributes(call.base, run.kind, record)}
        for column in run.columns:
            holder, inner, source = row, run.kind, record
            for name, parent in column.parents:
                found = call.org.find(source[parent.name]) if source[parent.name] else None
                if found is None:
                    holder[name] = None
                    break
                inner, source = found
                fresh = {"attributes": attributes(call.base, inner, source)}
                holder = holder.setdefault(name, fresh)
            else:
                holder[column.field.name] = to_json(source.get(column.field.name))
        return row

    async def more(self, call: Call) -> web.Response:
        """The next page of a query."""
        locator, _, begin = call.request.match_info["locator"].partition("-")
        user_id, records, size, at = self._world.cursors.get(locator, ("", [], 0, 0.0))
        alive = self._world.now() <= at + CURSOR_LIFETIME_S
        if user_id != call.session.user_id or not alive or not begin.isdecimal():
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(call, locator, records, int(begin), size)

    def _page(
        self, call: Call, locator: str, records: list[dict[str, Any]], begin: int, size: int
    ) -> web.Response:
        end = begin + size
        body: dict[str, Any] = {"totalSize": len(records), "done": end >= len(records)}
        if end < len(records):
            body["nextRecordsUrl"] = f"{call.base}/query/{locator}-{end}"
        return json_response({**body, "records": records[begin:end]})

    async def updated(self, call: Call) -> web.Response:
        """The ids of what was written in a span of time."""
        kind = find_type(call.org, call.request.match_info["sobject"])
        start, end = self._span(call)
        ids = [
            each["Id"]
            for each in call.org.tables[kind.name].values()
            if not each["IsDeleted"] and start <= each["SystemModstamp"] < end
        ]
        return json_response({"ids": ids, "latestDateCovered": to_json(end)})

    async def deleted(self, call: Call) -> web.Response:
        """The ids of what was deleted in a span of time, merged records among them."""
        kind = find_type(call.org, call.request.match_info["sobject"])
        start, end = self._span(call)
        gone = [
            {"id": each, "deletedDate": to_json(at)}
            for each, at in call.org.deleted_at.items()
            if each in call.org.tables[kind.name] and start <= at < end
        ]
        earliest = moment(self._world.now() - CURSOR_DAYS * DAY_S)
        return json_response(
            {
                "deletedRecords": gone,
                "earliestDateAvailable": to_json(earliest),
                "latestDateCovered": to_json(end),
            }
        )

    def _span(self, call: Call) -> tuple[datetime, datetime]:
        start, end = (parse_moment(call.request.query.get(name, "")) for name in ("start", "end"))
        if start is None or end is None:
            raise ApiError(400, "MALFORMED_QUERY", "start and end have to be dateTimes")
        # Whole minutes: the seconds are ignored.
        start, end = start.replace(second=0), end.replace(second=0)
        if end <= start:
            problem = "endDate must be at least one minute greater than the startDate"
            raise ApiError(400, "INVALID_REPLICATION_DATE", problem)
        if start < moment(self._world.now()) - timedelta(days=CURSOR_DAYS):
            problem = "startDate before org replication enabled date"
            raise ApiError(400, "INVALID_REPLICATION_DATE", problem)
        return start, end
