"""HubSpot's own Python SDKs, unchanged, straight at the sandbox and through the broker."""

import asyncio
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import hubspot as legacy
    import hubspot_sdk
    from hubspot.crm import contacts, properties, schemas
    from hubspot.crm.associations import v4 as associations

pytestmark = pytest.mark.filterwarnings("ignore")

SCOPES = [
    "oauth",
    "crm.objects.owners.read",
    "crm.objects.custom.read",
    "crm.objects.custom.write",
    *(
        f"crm.{part}.{kind}.{right}"
        for part in ("objects", "schemas")
        for kind in ("contacts", "companies", "deals", "custom")
        for right in ("read", "write")
    ),
]
PLATE = {"name": "plate", "label": "Plate", "type": "string", "field_type": "text"}


def with_legacy(base, token):
    client = legacy.HubSpot(access_token=token, host=base, base_url=base)
    crm = client.crm
    new = contacts.SimplePublicObjectInputForCreate(
        properties={"email": "jane@acme.example", "firstname": "Jane"}, associations=[]
    )
    made = crm.contacts.basic_api.create(simple_public_object_input_for_create=new)
    crm.contacts.basic_api.update(
        made.id,
        simple_public_object_input=contacts.SimplePublicObjectInput(
            properties={"firstname": "Joan"}
        ),
    )
    read = crm.contacts.basic_api.get_by_id("jane@acme.example", id_property="email")
    found = crm.contacts.search_api.do_search(
        public_object_search_request=contacts.PublicObjectSearchRequest(query="joan")
    )
    batch = crm.contacts.batch_api.create(
        contacts.BatchInputSimplePublicObjectBatchInputForCreate(
            inputs=[
                contacts.SimplePublicObjectBatchInputForCreate(
                    properties={"email": f"{n}@acme.example"}, associations=[]
                )
                for n in range(12)
            ]
        )
    )
    both = crm.contacts.batch_api.read(
        contacts.BatchReadInputSimplePublicObjectId(
            inputs=[{"id": made.id}, {"id": "999"}],
            properties=["email"],
            properties_with_history=[],
        )
    )
    company = crm.companies.basic_api.create({"properties": {"name": "Acme"}, "associations": []})
    links = crm.associations.v4.basic_api
    links.create_default("contacts", made.id, "companies", company.id)
    linked = links.get_page("contacts", made.id, "companies")
    links.create("contacts", batch.results[0].id, "companies", company.id, [
        associations.AssociationSpec(
            association_category="HUBSPOT_DEFINED", association_type_id=279
        )
    ])  # fmt: skip
    prop = crm.properties.core_api.create(
        "companies",
        properties.PropertyCreate(
            name="case_id",
            label="Case",
            type="string",
            field_type="text",
            group_name="companyinformation",
        ),
    )
    names = [each.name for each in crm.properties.core_api.get_all("companies").results]
    schema = crm.schemas.core_api.create(
        schemas.ObjectSchemaEgg(
            name="truck",
            labels=schemas.ObjectTypeDefinitionLabels(singular="Truck", plural="Trucks"),
            required_properties=["plate"],
            primary_display_property="plate",
            properties=[schemas.ObjectTypePropertyCreate(**PLATE)],
            associated_objects=["CONTACT"],
        )
    )
    truck = crm.objects.basic_api.create(
        schema.object_type_id, {"properties": {"plate": "B-1"}, "associations": []}
    )
    owners = crm.owners.owners_api.get_page()
    stages = crm.pipelines.pipelines_api.get_all("deals").results[0].stages
    everyone = crm.contacts.get_all()
    raw = client.api_request({"path": f"/crm/objects/2026-03/contacts/{made.id}"}).json()
    crm.contacts.basic_api.archive(made.id)
    return {
        "read": read.properties["firstname"],
        "found": [each.properties["firstname"] for each in found.results],
        "batch": [each.id for each in batch.results],
        "both": ([each.id for each in both.results], both.num_errors),
        "linked": [
            (each.to_object_id, [kind.type_id for kind in each.association_types])
            for each in linked.results
        ],
        "property": (prop.name in names, prop.type),
        "schema": schema.object_type_id,
        "truck": truck.properties["plate"],
        "owners": len(owners.results),
        "stages": [each.id for each in stages],
        "everyone": len(everyone),
        "raw": raw["properties"]["email"],
    }


def with_new(base, token):
    client = hubspot_sdk.HubSpot(access_token=token, base_url=base, max_retries=0)
    crm = client.crm
    people = crm.objects.contacts
    made = people.create(properties={"email": "a+b@acme.example"}, associations=[])
    people.update(made.id, properties={"lastname": "Doe"})
    read = people.get(made.id, properties=["lastname", "email"])
    conflict = None
    try:
        people.create(properties={"email": "a+b@acme.example"}, associations=[])
    except hubspot_sdk.ConflictError as error:
        conflict = error.status_code
    where = {"propertyName": "lastname", "operator": "EQ", "value": "doe"}
    found = people.search(
        filter_groups=[{"filters": [where]}], after="0", limit=10, properties=[], sorts=[]
    )
    inputs = [{"properties": {"email": f"{n}@acme.example"}, "associations": []} for n in range(12)]
    batch = people.batch.create(inputs=inputs)
    company = crm.objects.companies.create(properties={"name": "Acme"}, associations=[])
    deal = crm.objects.deals.create(
        properties={"dealname": "D", "dealstage": "closedwon"}, associations=[]
    )
    crm.associations.batch.create_default(
        "companies",
        from_object_type="contacts",
        inputs=[{"from": {"id": made.id}, "to": {"id": company.id}}],
    )
    linked = list(crm.associations.list("companies", object_type="contacts", object_id=made.id))
    prop = crm.properties.create(
        "companies",
        name="case_id",
        label="Case",
        type="string",
        field_type="text",
        group_name="companyinformation",
    )
    schema = crm.object_schemas.create(
        name="truck",
        labels={"singular": "Truck", "plural": "Trucks"},
        required_properties=["plate"],
        primary_display_property="plate",
        searchable_properties=[],
        secondary_display_properties=[],
        allows_sensitive_properties=False,
        properties=[{"name": "plate", "label": "P", "type": "string", "fieldType": "text"}],
        associated_objects=["CONTACT"],
    )
    truck = crm.objects.custom.create(
        schema.object_type_id, properties={"plate": "B-1"}, associations=[]
    )
    return {
        "lastname": read.properties["lastname"],
        "email": read.properties["email"],
        "conflict": conflict,
        "found": [each.id for each in found.results],
        "batch": [each.id for each in batch.results],
        "deal": deal.properties["pipeline"],
        "linked": [(each.to_object_id, len(each.association_types)) for each in linked],
        "property": prop.name in [each.name for each in crm.properties.list("companies").results],
        "schema": len(crm.object_schemas.list().results),
        "truck": truck.properties["plate"],
        "owners": len(list(crm.owners.list())),
        "listed": len([each.id for each in people.list()]),
    }


@pytest.mark.parametrize("use", [with_legacy, with_new])
async def test_an_official_sdk_cannot_tell_the_broker_from_hubspot(broker, hubspot, use):
    made = await broker.registers("sdks", clientId="sdk-client", appId="88", scopes=SCOPES)
    assert made.status == 201, made.body
    await broker.connects("through", portal=101, slug="sdks")
    refresh = hubspot.grants.issue_refresh("sdk-client", 102, "grace@globex.example", SCOPES)
    token = hubspot.grants.issue_access(refresh, hubspot.now() + 1800).token

    through = await asyncio.to_thread(use, f"{broker.url}/proxy/sdks/through", broker.key)
    direct = await asyncio.to_thread(use, hubspot.url, token)

    assert through == direct
    assert all(value or value == 0 for value in through.values()), through
