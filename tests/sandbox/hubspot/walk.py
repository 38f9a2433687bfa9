"""A walk through everything that the sandbox serves, in one version of HubSpot's API."""

from collections.abc import Awaitable, Callable
from typing import Any

Call = Callable[..., Awaitable[Any]]


class Walk:
    """`call(method, path, body=None, form=None)` makes a request and gives the answer's JSON."""

    def __init__(self, call: Call, version: str, hapikey: str, app_id: int) -> None:
        self.call, self.version = call, version
        self.dated = version != "v3"
        self.key, self.app_id = hapikey, app_id

    def crm(self, area: str, rest: str) -> str:
        """A path of the CRM: the version comes before the area in v3, after it when dated."""
        if self.dated:
            return f"/crm/{area}/{self.version}/{rest}"
        return f"/crm/v3/{area}/{rest}"

    async def all(self) -> None:
        for kind, values in (
            ("contacts", {"email": "{0}@acme.example"}),
            ("companies", {"name": "Acme {0}"}),
            ("0-3", {"dealname": "Deal {0}", "dealstage": "closedwon", "amount": "12.5"}),
            ("tickets", {"subject": "Ticket {0}"}),
        ):
            await self.records(kind, values)
        await self.refusals()
        await self.associations()
        await self.labels()
        await self.properties()
        await self.schemas()
        await self.pipelines()
        await self.account()
        await self.webhooks()

    async def records(self, kind: str, values: dict[str, str]) -> None:
        base = self.crm("objects", kind)

        def named(n: int) -> dict[str, str]:
            return {key: value.format(f"{kind}{n}") for key, value in values.items()}

        unique = next(iter(values))
        made = await self.call("POST", base, {"properties": named(1)})
        other = await self.call("POST", base, {"properties": named(2), "associations": []})
        one = f"{base}/{made['id']}"
        await self.call(
            "GET", f"{one}?properties={unique}%2Chs_owner&propertiesWithHistory={unique}"
        )
        await self.call("GET", f"{one}?associations=companies&associations=contacts")
        await self.call("PATCH", one, {"properties": {"hubspot_owner_id": "7"}})
        await self.call("GET", f"{base}?limit=1&properties={unique}&properties=zip")
        where = {"propertyName": unique, "operator": "HAS_PROPERTY"}
        await self.call(
            "POST",
            f"{base}/search",
            {"filterGroups": [{"filters": [where]}], "limit": 1, "sorts": [unique]},
        )
        await self.call("POST", f"{base}/search", {"query": "acme"})
        await self.batches(base, unique, made["id"], named)
        if kind in {"contacts", "companies", "0-3"}:
            both = {"primaryObjectId": made["id"], "objectIdToMerge": other["id"]}
            await self.call("POST", f"{base}/merge", both)
        if kind == "contacts":
            last = await self.call("POST", base, {"properties": {"email": "gone@acme.example"}})
            await self.call("POST", f"{base}/gdpr-delete", {"objectId": last["id"]})
        await self.call("DELETE", one)
        await self.call("GET", f"{one}?archived=true")
        await self.call("GET", f"{base}?archived=true")

    async def batches(
        self, base: str, unique: str, first: str, named: Callable[[int], dict[str, str]]
    ) -> None:
        created = await self.call(
            "POST", f"{base}/batch/create", {"inputs": [{"properties": named(n)} for n in (3, 4)]}
        )
        ids = [each["id"] for each in created["results"]]
        traced = [
            {"properties": {**named(5)}, "objectWriteTraceId": "a"},
            {"properties": {"no_such": "x"}, "objectWriteTraceId": "b"},
        ]
        await self.call("POST", f"{base}/batch/create", {"inputs": traced})
        found = [{"id": each} for each in (*ids, "999999")]
        await self.call("POST", f"{base}/batch/read", {"inputs": found, "properties": [unique]})
        await self.call("POST", f"{base}/batch/read", {"inputs": found[:1]})
        changed = [{"id": first, "properties": {"hubspot_owner_id": "8"}}]
        await self.call("POST", f"{base}/batch/update", {"inputs": changed})
        missing = {"id": "999999", "properties": {"hubspot_owner_id": "8"}}
        await self.call("POST", f"{base}/batch/update", {"inputs": [*changed, missing]})
        if unique == "email":
            payload = [
                {"id": address, "idProperty": "email", "properties": {"lastname": "Up"}}
                for address in ("new@acme.example", "contacts3@acme.example")
            ]
            await self.call("POST", f"{base}/batch/upsert", {"inputs": payload})
            wrong = {**payload[0], "properties": {"no_such": "x"}}
            await self.call("POST", f"{base}/batch/upsert", {"inputs": [payload[1], wrong]})
        else:
            by_id = {"id": ids[0], "idProperty": "hs_object_id", "properties": {unique: "Z"}}
            await self.call("POST", f"{base}/batch/upsert", {"inputs": [by_id]})
        await self.call("POST", f"{base}/batch/archive", {"inputs": [{"id": ids[1]}]})

    async def refusals(self) -> None:
        base = self.crm("objects", "contacts")
        await self.call("GET", f"{base}/999999")
        await self.call("GET", f"{base}/abc")
        await self.call("POST", base, {"properties": {"email": "no"}})
        await self.call("POST", base, {"properties": {"email": "new@acme.example"}})
        await self.call("GET", self.crm("objects", "foo"))
        await self.call("GET", self.crm("objects", "line_items"))

    async def associations(self) -> None:
        contact = await self.call(
            "POST", self.crm("objects", "contacts"), {"properties": {"email": "link@acme.example"}}
        )
        company = await self.call(
            "POST", self.crm("objects", "companies"), {"properties": {"name": "Linked"}}
        )
        a, b = contact["id"], company["id"]
        objects = f"/crm/objects/{self.version}" if self.dated else "/crm/v4/objects"
        pair = f"/crm/associations/{self.version}" if self.dated else "/crm/v4/associations"
        pair += "/contacts/companies/batch"
        spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}
        await self.call("PUT", f"{objects}/contacts/{a}/associations/default/companies/{b}")
        await self.call("PUT", f"{objects}/contact/{a}/associations/company/{b}", [spec])
        await self.call("GET", f"{objects}/contacts/{a}/associations/companies")
        ends = {"from": {"id": a}, "to": {"id": b}}
        await self.call("POST", f"{pair}/create", {"inputs": [{**ends, "types": [spec]}]})
        await self.call("POST", f"{pair}/associate/default", {"inputs": [ends]})
        await self.call("POST", f"{pair}/read", {"inputs": [{"id": a}]})
        await self.call("POST", f"{pair}/read", {"inputs": [{"id": a}, {"id": "999999"}]})
        await self.call("POST", f"{pair}/labels/archive", {"inputs": [{**ends, "types": [spec]}]})
        await self.call(
            "POST", f"{pair}/archive", {"inputs": [{"from": {"id": a}, "to": [{"id": b}]}]}
        )
        await self.call("PUT", f"{objects}/contacts/{a}/associations/default/companies/{b}")
        await self.call("DELETE", f"{objects}/contacts/{a}/associations/companies/{b}")
        if not self.dated:
            old = "/crm/v3/associations/contacts/companies/batch"
            named = {**ends, "type": "contact_to_company"}
            await self.call("POST", f"{old}/create", {"inputs": [named]})
            await self.call("POST", f"{old}/read", {"inputs": [{"id": a}]})
            await self.call("POST", f"{old}/read", {"inputs": [{"id": a}, {"id": "999999"}]})
            await self.call("POST", f"{old}/archive", {"inputs": [named]})

    async def labels(self) -> None:
        base = f"/crm/associations/{self.version if self.dated else 'v4'}"
        labels = f"{base}/contacts/deals/labels"
        payload = {"name": "buyer", "label": "Buyer", "inverseLabel": "Bought by"}
        made = await self.call("POST", labels, payload)
        number = made["results"][0]["typeId"]
        await self.call("GET", labels)
        await self.call("PUT", labels, {"associationTypeId": number, "label": "Payer"})
        limits = f"{base}/definitions/configurations"
        one = {"category": "USER_DEFINED", "typeId": number}
        limit = {"inputs": [{**one, "maxToObjectIds": 3}]}
        await self.call("POST", f"{limits}/contacts/deals/batch/create", limit)
        await self.call("POST", f"{limits}/contacts/deals/batch/update", limit)
        await self.call("GET", f"{limits}/contacts/deals")
        await self.call("GET", f"{limits}/all")
        await self.call("POST", f"{limits}/contacts/deals/batch/purge", {"inputs": [one]})
        await self.call("DELETE", f"{labels}/{number}")

    async def properties(self) -> None:
        base = self.crm("properties", "companies")
        group = {"name": "kyb", "label": "KYB", "displayOrder": 2}
        await self.call("POST", f"{base}/groups", group)
        await self.call("GET", f"{base}/groups")
        await self.call("GET", f"{base}/groups/kyb")
        await self.call("PATCH", f"{base}/groups/kyb", {"label": "Checks"})
        case = {
            "name": "case_state",
            "label": "Case",
            "type": "enumeration",
            "fieldType": "select",
            "groupName": "kyb",
            "options": [{"label": "Open", "value": "open", "hidden": False, "displayOrder": 0}],
        }
        text = {**case, "name": "case_id", "type": "string", "fieldType": "text", "options": []}
        await self.call("POST", base, case)
        await self.call("POST", f"{base}/batch/create", {"inputs": [text]})
        await self.call(
            "POST", f"{base}/batch/create", {"inputs": [text, {**text, "name": "case_b"}]}
        )
        await self.call("GET", base)
        await self.call("GET", f"{base}/case_state")
        await self.call("PATCH", f"{base}/case_state", {"description": "How it stands"})
        names = {"archived": False, "inputs": [{"name": "case_id"}]}
        await self.call("POST", f"{base}/batch/read", names)
        names["inputs"].append({"name": "no_such"})
        await self.call("POST", f"{base}/batch/read", names)
        await self.call("POST", f"{base}/batch/archive", {"inputs": [{"name": "case_id"}]})
        await self.call("DELETE", f"{base}/case_state")
        await self.call("GET", f"{base}/case_state")
        await self.call("DELETE", f"{base}/groups/kyb")

    async def schemas(self) -> None:
        base = f"/crm-object-schemas/{self.version}/schemas"
        plate = {"name": "plate", "label": "Plate", "type": "string", "fieldType": "text"}
        payload = {
            "name": "truck",
            "labels": {"singular": "Truck", "plural": "Trucks"},
            "primaryDisplayProperty": "plate",
            "requiredProperties": ["plate"],
            "searchableProperties": [],
            "secondaryDisplayProperties": [],
            "properties": [{**plate, "hasUniqueValue": True}],
            "associatedObjects": ["CONTACT"],
        }
        made = await self.call("POST", base, payload)
        one = f"{base}/{made['objectTypeId']}"
        await self.call("GET", base)
        await self.call("GET", one)
        await self.call("GET", f"{base}/truck")
        read = {
            "inputs": ["truck"],
            "includeAssociationDefinitions": True,
            "includeAuditMetadata": False,
            "includePropertyDefinitions": True,
        }
        await self.call("POST", f"{base}/batch/read", read)
        await self.call("PATCH", one, {"description": "Moves things"})
        target = {
            "fromObjectTypeId": made["objectTypeId"],
            "toObjectTypeId": "0-2",
            "name": "owner",
        }
        link = await self.call("POST", f"{one}/associations", target)
        truck = self.crm("objects", made["objectTypeId"])
        record = await self.call("POST", truck, {"properties": {"plate": "B-1"}})
        await self.call("POST", truck, {"properties": {"hubspot_owner_id": "1"}})
        await self.call("GET", f"{truck}/B-1?idProperty=plate")
        await self.call("DELETE", f"{truck}/{record['id']}")
        await self.call("DELETE", f"{one}/associations/{link['id']}")
        await self.call("DELETE", one)

    async def pipelines(self) -> None:
        base = self.crm("pipelines", "deals")
        stage = {"label": "Start", "displayOrder": 0, "metadata": {"probability": "0.1"}}
        payload = {"label": f"Own {self.version}", "displayOrder": 3, "stages": [stage]}
        made = await self.call("POST", base, payload)
        one = f"{base}/{made['id']}"
        await self.call("GET", base)
        await self.call("GET", one)
        await self.call("PATCH", one, {"label": "Other"})
        await self.call("PUT", one, payload)
        await self.call("GET", f"{one}/audit")
        added = await self.call("POST", f"{one}/stages", {**stage, "label": "Next"})
        await self.call("GET", f"{one}/stages")
        last = f"{one}/stages/{added['id']}"
        await self.call("GET", last)
        await self.call("PATCH", last, {"label": "Renamed", "metadata": {"probability": "0.2"}})
        await self.call("PUT", last, stage)
        await self.call("GET", f"{last}/audit")
        await self.call("DELETE", last)
        await self.call("DELETE", one)

    async def account(self) -> None:
        owners = f"/crm/owners/{self.version}" if self.dated else "/crm/v3/owners"
        listed = await self.call("GET", f"{owners}?limit=1")
        await self.call("GET", f"{owners}/{listed['results'][0]['id']}")
        await self.call("GET", f"/account-info/{self.version}/details")
        await self.call("GET", f"/account-info/{self.version}/api-usage/daily/private-apps")

    async def webhooks(self) -> None:
        prefix = "app-webhooks" if self.version == "2026-09" else "webhooks"
        base = f"/{prefix}/{self.version}/{self.app_id}"
        key = f"?hapikey={self.key}"
        settings = {
            "targetUrl": "https://broker.example/webhooks",
            "throttling": {"maxConcurrentRequests": 10},
        }
        await self.call("PUT", f"{base}/settings{key}", settings)
        await self.call("GET", f"{base}/settings{key}")
        subscription = {
            "eventType": "contact.propertyChange",
            "propertyName": "email",
            "active": True,
        }
        made = await self.call("POST", f"{base}/subscriptions{key}", subscription)
        await self.call("GET", f"{base}/subscriptions{key}")
        one = f"{base}/subscriptions/{made['id']}{key}"
        await self.call("GET", one)
        await self.call("PATCH", one, {"active": False})
        both = {"inputs": [{"id": int(made["id"]), "active": True}]}
        await self.call("POST", f"{base}/subscriptions/batch/update{key}", both)
        await self.call("DELETE", one)
        await self.call("DELETE", f"{base}/settings{key}")
