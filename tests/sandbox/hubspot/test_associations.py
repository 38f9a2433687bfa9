"""Associations and labels, from both sides."""

PLAIN = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}


async def pair(app):
    return await app.create("contacts", email="a@acme.example"), await app.create(
        "companies", name="A"
    )


async def linked(app, path):
    got = await app.request("GET", path)
    return {
        each["toObjectId"]: [kind["typeId"] for kind in each["associationTypes"]]
        for each in got.body["results"]
    }


async def test_the_first_company_of_a_contact_becomes_its_primary(app):
    contact, first = await pair(app)
    second = await app.create("companies", name="B")
    for company in (first, second):
        path = f"/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}"
        assert (await app.request("PUT", path)).status == 200
    seen = await linked(app, f"/crm/v4/objects/contacts/{contact}/associations/companies")
    assert seen == {int(first): [279, 1], int(second): [279]}
    other = await linked(app, f"/crm/v4/objects/companies/{first}/associations/contacts")
    assert other == {int(contact): [280, 2]}


async def test_a_record_is_created_with_its_associations_or_not_at_all(app):
    _, company = await pair(app)
    associations = [{"to": {"id": company}, "types": [PLAIN]}]
    payload = {"properties": {"email": "b@acme.example"}, "associations": associations}
    made = await app.request("POST", "/crm/v3/objects/contacts", payload)
    read = await app.request(
        "GET", f"/crm/v3/objects/contacts/{made.body['id']}?associations=companies,deals"
    )
    kinds = [each["type"] for each in read.body["associations"]["companies"]["results"]]
    assert kinds == ["contact_to_company_unlabeled", "contact_to_company"]
    assert "deals" not in read.body["associations"]

    lost = [{"to": {"id": "9"}, "types": [PLAIN]}]
    payload = {"properties": {"email": "c@acme.example"}, "associations": lost}
    refused = await app.request("POST", "/crm/v3/objects/contacts", payload)
    assert (refused.status, refused.body["message"]) == (
        400,
        "One or more associations are invalid",
    )
    assert refused.body["context"] == {
        "INVALID_OBJECT_IDS": ["COMPANY=9 is not valid"],
        "objectId": ["9"],
        "objectType": ["COMPANY"],
    }
    assert len((await app.request("GET", "/crm/v3/objects/contacts")).body["results"]) == 2


async def test_an_association_seen_from_the_wrong_side_is_refused(app):
    contact, _ = await pair(app)
    associations = [{"to": {"id": contact}, "types": [PLAIN]}]
    payload = {"properties": {"name": "B"}, "associations": associations}
    got = await app.request("POST", "/crm/v3/objects/companies", payload)
    expected = "invalid from object type 0-2 for associations to be created. expected: 0-1"
    assert (got.status, got.body["message"]) == (400, expected)


async def test_a_label_is_seen_from_both_sides_and_gone_when_it_is_removed(app):
    contact, company = await pair(app)
    labels = "/crm/v4/associations/contacts/companies/labels"
    payload = {"name": "payer", "label": "Payer", "inverseLabel": "Paid by"}
    made = (await app.request("POST", labels, payload)).body["results"]
    spec = {"associationCategory": "USER_DEFINED", "associationTypeId": made[0]["typeId"]}
    path = f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}"
    got = await app.request("PUT", path, [spec])
    assert (got.status, got.body["labels"]) == (201, ["Payer"])
    back = await app.request("GET", f"/crm/v4/objects/companies/{company}/associations/contacts")
    assert "Paid by" in [e["label"] for e in back.body["results"][0]["associationTypes"]]

    same = "/crm/associations/v4/contacts/companies/labels"
    listed = (await app.request("GET", same)).body["results"]
    assert made[0] in listed
    assert (await app.request("DELETE", f"{same}/{made[0]['typeId']}")).status == 204
    back = await app.request("GET", f"/crm/v4/objects/companies/{company}/associations/contacts")
    assert "Paid by" not in [e["label"] for e in back.body["results"][0]["associationTypes"]]


async def test_removing_an_association_removes_it_on_both_sides(app):
    contact, company = await pair(app)
    for method, path, body, left in (
        (
            "DELETE",
            f"/crm/v4/objects/contacts/{contact}/associations/companies/{company}",
            None,
            {},
        ),
        (
            "POST",
            "/crm/v4/associations/companies/contacts/batch/archive",
            {"inputs": [{"from": {"id": company}, "to": [{"id": contact}]}]},
            {},
        ),
        (
            "POST",
            "/crm/v4/associations/contacts/companies/batch/labels/archive",
            {"inputs": [{"from": {"id": contact}, "to": {"id": company}, "types": [PLAIN]}]},
            {int(contact): [2]},
        ),
    ):
        ends = {"inputs": [{"from": {"id": contact}, "to": {"id": company}}]}
        default = "/crm/v4/associations/contacts/companies/batch/associate/default"
        assert (await app.request("POST", default, ends)).status == 200
        assert (await app.request(method, path, body)).status == 204
        back = await linked(app, f"/crm/v4/objects/companies/{company}/associations/contacts")
        assert back == left, path


async def test_v4_answers_numbers_and_the_dated_paths_answer_strings(app):
    contact, company = await pair(app)
    ends = f"{contact}/associations/default/companies/{company}"
    await app.request("PUT", f"/crm/objects/2026-03/contacts/{ends}")
    v4 = await linked(app, f"/crm/v4/objects/contacts/{contact}/associations/companies")
    dated = await linked(app, f"/crm/objects/2026-03/contacts/{contact}/associations/companies")
    assert (list(v4), list(dated)) == ([int(company)], [company])


async def test_a_custom_type_is_associated_as_its_schema_says(app):
    payload = {
        "name": "truck",
        "labels": {"singular": "Truck", "plural": "Trucks"},
        "requiredProperties": ["plate"],
        "primaryDisplayProperty": "plate",
        "properties": [{"name": "plate", "label": "P", "type": "string", "fieldType": "text"}],
        "associatedObjects": ["CONTACT"],
    }
    schema = (await app.request("POST", "/crm/v3/schemas", payload)).body
    assert schema["fullyQualifiedName"] == "p101_truck"
    contact, company = await pair(app)
    for name in (schema["objectTypeId"], "truck", "p101_truck"):
        truck = await app.create(name, plate=name)
        ends = f"/crm/v4/objects/{name}/{truck}/associations/default"
        assert (await app.request("PUT", f"{ends}/contacts/{contact}")).status == 200
        assert (await app.request("PUT", f"{ends}/companies/{company}")).status == 400
    missing = await app.request("POST", "/crm/v3/objects/truck", {"properties": {}})
    assert missing.body["context"] == {"properties": ["plate"]}
    full = await app.request("DELETE", f"/crm/v3/schemas/{schema['objectTypeId']}")
    assert full.status == 400
