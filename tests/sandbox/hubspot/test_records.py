"""Records, values, error bodies and search, as HubSpot has them."""

import json

import pytest

OBJECTS = "/crm/v3/objects"


async def test_a_type_has_a_plural_a_singular_and_a_number_as_names(app):
    made = await app.create("contacts", email="a@acme.example")
    for name in ("contacts", "contact", "0-1", "CONTACT"):
        got = await app.request("GET", f"{OBJECTS}/{name}/{made}")
        assert got.body["properties"]["email"] == "a@acme.example", name
    dated = await app.request("GET", f"/crm/objects/2026-09/0-1/{made}")
    assert dated.status == 200


async def test_an_unknown_type_cannot_be_inferred(app):
    got = await app.request("GET", f"{OBJECTS}/foo")
    assert (got.status, got.body["message"]) == (400, "Unable to infer object type from: foo")


async def test_every_wrong_value_is_listed_at_once_with_hubspots_errors(app):
    wrong = {
        "nosuch": ("x", "PROPERTY_DOESNT_EXIST"),
        "hs_object_id": ("1", "READ_ONLY_VALUE"),
        "email": ("nobody", "INVALID_EMAIL"),
        "lifecyclestage": ("nowhere", "INVALID_OPTION"),
    }
    properties = {name: value for name, (value, _) in wrong.items()}
    got = await app.request("POST", f"{OBJECTS}/contacts", {"properties": properties})
    assert got.status == 400
    assert got.body["category"] == "VALIDATION_ERROR"
    prefix = "Property values were not valid: "
    assert got.body["message"].startswith(prefix)
    errors = json.loads(got.body["message"].removeprefix(prefix))
    assert {each["name"]: each["error"] for each in errors} == {n: c for n, (_, c) in wrong.items()}
    codes = {each["context"]["propertyName"][0]: each["code"] for each in got.body["errors"]}
    assert codes == {name: code for name, (_, code) in wrong.items()}
    assert got.headers["x-hubspot-correlation-id"] == got.body["correlationId"]


async def test_values_are_stored_as_hubspot_stores_them(app):
    cases = [
        ("contacts", "email", " Ada@ACME.example ", "ada@acme.example"),
        ("deals", "closedate", "1767225600000", "2026-01-01T00:00:00Z"),
        ("deals", "closedate", "2026-01-01T01:02:03.456+01:00", "2026-01-01T00:02:03.456Z"),
        ("deals", "amount", 12.5, "12.5"),
        ("companies", "is_public", True, "true"),
        ("quotes", "hs_expiration_date", "2026-02-03", "2026-02-03"),
        ("companies", "name", "", None),
    ]
    app.granted([*_all_scopes(app), "crm.objects.quotes.write"])
    for kind, name, value, stored in cases:
        got = await app.request("POST", f"{OBJECTS}/{kind}", {"properties": {name: value}})
        assert got.status == 201, got.body
        assert got.body["properties"].get(name) == stored, (kind, name)
        await app.request("DELETE", f"{OBJECTS}/{kind}/{got.body['id']}")
    refused = [
        ("deals", "closedate", "soon", "INVALID_LONG"),
        ("deals", "amount", "lots", "INVALID_LONG"),
        ("quotes", "hs_expiration_date", "1767225600001", "INVALID_DATE"),
        ("quotes", "hs_expiration_date", "someday", "INVALID_DATE"),
        ("deals", "dealstage", "nowhere", "INVALID_OPTION"),
    ]
    for kind, name, value, code in refused:
        got = await app.request("POST", f"{OBJECTS}/{kind}", {"properties": {name: value}})
        assert [each["code"] for each in got.body["errors"]] == [code], (kind, name)


def _all_scopes(app):
    return app.hubspot.apps["app"].scopes


async def test_a_second_contact_with_the_address_is_a_conflict_that_names_the_first(app):
    first = await app.create("contacts", email="a@acme.example")
    again = {"properties": {"email": "A@acme.example"}}
    got = await app.request("POST", f"{OBJECTS}/contacts", again)
    assert (got.status, got.body["category"]) == (409, "CONFLICT")
    assert got.body["message"] == f"Contact already exists. Existing ID: {first}"

    await app.request("DELETE", f"{OBJECTS}/contacts/{first}")
    assert (await app.request("POST", f"{OBJECTS}/contacts", again)).status == 201


async def test_a_missing_record_answers_by_the_kind_of_its_id(app):
    number = await app.request("GET", f"{OBJECTS}/contacts/999999")
    assert (number.status, number.body["message"]) == (404, "resource not found")
    assert "category" not in number.body
    word = await app.request("GET", f"{OBJECTS}/contacts/abc")
    assert word.body["message"] == "Object not found.  objectId are usually numeric."
    assert (word.body["category"], word.body["context"]) == ("OBJECT_NOT_FOUND", {"id": ["abc"]})


async def test_requested_properties_are_null_when_unset_and_absent_when_unknown(app):
    made = await app.create("companies", name="Acme")
    for payload in ("name,domain,nosuch", "name&properties=domain&properties=nosuch"):
        got = await app.request("GET", f"{OBJECTS}/companies/{made}?properties={payload}")
        shown = got.body["properties"]
        assert list(shown) == sorted(shown)
        assert shown["domain"] is None
        assert "nosuch" not in shown
        assert "hs_lastmodifieddate" in shown


async def test_history_is_listed_newest_first(app):
    made = await app.create("companies", name="Old")
    await app.request("PATCH", f"{OBJECTS}/companies/{made}", {"properties": {"name": "New"}})
    got = await app.request("GET", f"{OBJECTS}/companies/{made}?propertiesWithHistory=name")
    values = [each["value"] for each in got.body["propertiesWithHistory"]["name"]]
    assert values == ["New", "Old"]


async def test_an_archived_record_is_listed_only_on_request(app):
    made = await app.create("companies", name="Gone")
    for _ in range(2):
        assert (await app.request("DELETE", f"{OBJECTS}/companies/{made}")).status == 204
    assert (await app.request("GET", f"{OBJECTS}/companies/{made}")).status == 404
    assert (await app.request("GET", f"{OBJECTS}/companies")).body["results"] == []
    archived = await app.request("GET", f"{OBJECTS}/companies?archived=true")
    assert archived.body["results"][0]["archivedAt"]


async def test_pages_lead_from_one_to_the_next_and_the_last_has_no_paging(app):
    made = [await app.create("companies", name=f"C{n}") for n in range(5)]
    seen, after = [], ""
    for _ in range(3):
        got = await app.request("GET", f"{OBJECTS}/companies?limit=2{after}")
        seen += [each["id"] for each in got.body["results"]]
        if "paging" in got.body:
            after = f"&after={got.body['paging']['next']['after']}"
    assert seen == made
    assert "paging" not in got.body


async def test_a_merged_records_id_leads_to_the_record_that_remains(app):
    a = await app.create("contacts", email="a@acme.example")
    b = await app.create("contacts", email="b@acme.example", firstname="Bea")
    payload = {"primaryObjectId": a, "objectIdToMerge": b}
    merged = await app.request("POST", f"{OBJECTS}/contacts/merge", payload)
    assert merged.body["properties"]["firstname"] == "Bea"
    got = await app.request("GET", f"{OBJECTS}/contacts/{b}")
    assert (got.body["id"], got.body["properties"]["email"]) == (a, "a@acme.example")


async def test_a_batch_without_traces_is_made_whole_or_not_at_all(app):
    await app.create("contacts", email="taken@acme.example")
    inputs = [{"properties": {"email": f"{n}@acme.example"}} for n in ("new", "taken")]
    got = await app.request("POST", f"{OBJECTS}/contacts/batch/create", {"inputs": inputs})
    assert got.status == 409
    listed = await app.request("GET", f"{OBJECTS}/contacts")
    assert len(listed.body["results"]) == 1

    traced = [{**each, "objectWriteTraceId": str(n)} for n, each in enumerate(inputs)]
    partly = await app.request("POST", f"{OBJECTS}/contacts/batch/create", {"inputs": traced})
    assert (partly.status, partly.body["numErrors"]) == (207, 1)
    assert partly.body["errors"][0]["context"] == {"objectWriteTraceId": ["1"]}
    assert partly.body["results"][0]["objectWriteTraceId"] == "0"


async def test_a_batch_read_lists_the_inputs_that_were_not_found(app):
    made = await app.create("contacts", email="a@acme.example")
    inputs = {"inputs": [{"id": made}, {"id": "9"}]}
    got = await app.request("POST", f"{OBJECTS}/contacts/batch/read", inputs)
    assert got.status == 207
    assert got.body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert got.body["errors"][0]["context"] == {"ids": ["9"]}
    by_mail = {"idProperty": "email", "inputs": [{"id": "A@acme.example"}]}
    found = await app.request("POST", f"{OBJECTS}/contacts/batch/read", by_mail)
    assert [each["id"] for each in found.body["results"]] == [made]


async def test_an_upsert_reports_which_records_are_new(app):
    await app.create("contacts", email="old@acme.example")
    inputs = [
        {"id": f"{n}@acme.example", "idProperty": "email", "properties": {"lastname": "X"}}
        for n in ("old", "new")
    ]
    got = await app.request("POST", f"{OBJECTS}/contacts/batch/upsert", {"inputs": inputs})
    assert [each["new"] for each in got.body["results"]] == [False, True]


async def test_a_batch_of_more_than_a_hundred_is_refused(app):
    inputs = [{"properties": {"name": f"C{n}"}} for n in range(101)]
    got = await app.request("POST", f"{OBJECTS}/companies/batch/create", {"inputs": inputs})
    assert got.status == 400
    assert (await app.request("GET", f"{OBJECTS}/companies")).body["results"] == []


async def test_bad_bodies_are_refused_and_never_an_inner_error(app):
    for path in (
        f"{OBJECTS}/contacts",
        f"{OBJECTS}/contacts/search",
        f"{OBJECTS}/contacts/merge",
        f"{OBJECTS}/contacts/batch/read",
        f"{OBJECTS}/contacts/batch/upsert",
        "/crm/v3/properties/contacts",
        "/crm/v3/pipelines/deals",
        "/crm-object-schemas/v3/schemas",
        "/crm/v4/associations/contacts/companies/batch/create",
        "/crm/v4/associations/contacts/companies/labels",
    ):
        for body in ([], "x", None, {"inputs": [1]}, {"inputs": [{}]}, {"properties": 3}):
            got = await app.request("POST", path, body)
            lenient = path.endswith("search") and isinstance(body, dict)
            assert got.status == 400 or lenient, (path, body, got.status)
            assert got.status < 500


SEARCHES = [
    ([("name", "EQ", "acme")], ["Acme"]),
    ([("name", "NEQ", "acme")], ["Beta", "Gamma"]),
    ([("numberofemployees", "GT", "9")], ["Beta", "Gamma"]),
    ([("numberofemployees", "LTE", "10")], ["Acme", "Beta"]),
    ([("numberofemployees", "BETWEEN", "6", "50")], ["Beta"]),
    ([("name", "IN", ["acme", "beta"])], ["Acme", "Beta"]),
    ([("name", "IN", ["Acme"])], []),
    ([("name", "NOT_IN", ["acme"])], ["Beta", "Gamma"]),
    ([("industry", "EQ", "retail")], []),
    ([("industry", "EQ", "RETAIL")], ["Acme"]),
    ([("domain", "HAS_PROPERTY", None)], ["Beta"]),
    ([("domain", "NOT_HAS_PROPERTY", None)], ["Acme", "Gamma"]),
    ([("name", "CONTAINS_TOKEN", "*am*")], ["Gamma"]),
    ([("name", "EQ", "acme"), ("numberofemployees", "GT", "9")], []),
    ([("createdate", "GT", "2020-01-01")], ["Acme", "Beta", "Gamma"]),
    ([("createdate", "LT", "1577836800000")], []),
]


async def test_search_holds_to_its_operators(app):
    await app.create("companies", name="Acme", numberofemployees="5", industry="RETAIL")
    await app.create("companies", name="Beta", numberofemployees="10", domain="beta.example")
    await app.create("companies", name="Gamma", numberofemployees="100")
    for filters, names in SEARCHES:
        payload = []
        for name, operator, value, *high in filters:
            each = {"propertyName": name, "operator": operator}
            each |= {"values": value} if isinstance(value, list) else {"value": value}
            payload.append(each | ({"highValue": high[0]} if high else {}))
        body = {"filterGroups": [{"filters": payload}]}
        got = await app.request("POST", f"{OBJECTS}/companies/search", body)
        assert [e["properties"]["name"] for e in got.body["results"]] == names, filters
    groups = [
        {"filters": [{"propertyName": "name", "operator": "EQ", "value": name}]}
        for name in ("acme", "gamma")
    ]
    either = await app.request("POST", f"{OBJECTS}/companies/search", {"filterGroups": groups})
    assert either.body["total"] == 2
    sort = [{"propertyName": "numberofemployees", "direction": "DESCENDING"}]
    down = await app.request("POST", f"{OBJECTS}/companies/search", {"sorts": sort, "limit": 1})
    assert down.body["results"][0]["properties"]["name"] == "Gamma"
    assert down.body["paging"]["next"]["after"] == "1"


@pytest.mark.parametrize(
    "body",
    [
        {"filterGroups": [{"filters": []}] * 6},
        {"filterGroups": [{"filters": [{"propertyName": "name", "operator": "EQ"}] * 7}]},
        {"sorts": ["name", "domain"]},
        {"limit": 201},
        {"after": "9999", "limit": 10},
        {"query": "x" * 3000},
        {"filterGroups": [{"filters": [{"propertyName": "no", "operator": "EQ", "value": "1"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "name", "operator": "LIKE"}]}]},
    ],
)
async def test_search_refuses_what_is_beyond_its_limits(app, body):
    got = await app.request("POST", f"{OBJECTS}/companies/search", body)
    assert (got.status, got.body["category"]) == (400, "VALIDATION_ERROR")


async def test_search_can_lag_behind_writes(app):
    app.hubspot.search_lag = 5.0
    made = await app.create("companies", name="Old")

    async def found(name):
        got = await app.request("POST", f"{OBJECTS}/companies/search", {"query": name})
        return got.body["total"]

    assert await found("old") == 0
    app.hubspot.jump(6)
    assert await found("old") == 1
    await app.request("PATCH", f"{OBJECTS}/companies/{made}", {"properties": {"name": "New"}})
    assert (await found("old"), await found("new")) == (1, 0)
    app.hubspot.jump(6)
    assert (await found("old"), await found("new")) == (0, 1)


async def test_search_has_the_index_of_before_a_write_even_without_an_earlier_search(app):
    app.hubspot.search_lag = 5.0
    made = await app.create("companies", name="Old")
    app.hubspot.jump(6)
    await app.request("PATCH", f"{OBJECTS}/companies/{made}", {"properties": {"name": "New"}})
    got = await app.request("POST", f"{OBJECTS}/companies/search", {"query": "old"})
    assert got.body["total"] == 1


async def test_a_link_leads_to_the_next_page_and_keeps_the_whole_query(app):
    """F17: connectors follow it as it stands, and repeat parameters."""
    made = [await app.create("contacts", email=f"c{n}@acme.example") for n in range(3)]
    query = "limit=2&properties=email&properties=firstname&archived=false"
    for path in (f"{OBJECTS}/contacts", "/crm/objects/2026-03/contacts"):
        first = await app.request("GET", f"{path}?{query}")
        link = first.body["paging"]["next"]["link"]
        assert link.startswith(f"{app.hubspot.url}{path}?{query}&after=")

        second = await app.request("GET", link.removeprefix(app.hubspot.url))
        assert [each["id"] for each in second.body["results"]] == made[2:]
        assert {"email", "firstname"} <= second.body["results"][0]["properties"].keys()
