"""HubSpot's own Python SDKs, unchanged, through the broker."""

import asyncio
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import hubspot as legacy
    import hubspot_sdk
    from hubspot.crm import contacts as legacy_contacts

pytestmark = pytest.mark.filterwarnings("ignore")


def with_legacy(base, token):
    client = legacy.HubSpot(access_token=token, host=base, base_url=base)
    contacts = client.crm.contacts
    new = legacy_contacts.SimplePublicObjectInputForCreate(
        properties={"email": "jane@acme.example", "firstname": "Jane"}, associations=[]
    )
    made = contacts.basic_api.create(simple_public_object_input_for_create=new)
    contacts.basic_api.update(
        made.id,
        simple_public_object_input=legacy_contacts.SimplePublicObjectInput(
            properties={"firstname": "Joan"}
        ),
    )
    read = contacts.basic_api.get_by_id("jane@acme.example", id_property="email")
    found = contacts.search_api.do_search(
        public_object_search_request=legacy_contacts.PublicObjectSearchRequest(query="joan")
    )
    everyone = contacts.get_all()
    raw = client.api_request({"path": f"/crm/objects/2026-03/contacts/{made.id}"}).json()
    contacts.basic_api.archive(made.id)
    return {
        "read": read.properties["firstname"],
        "found": [each.properties["firstname"] for each in found.results],
        "everyone": len(everyone),
        "raw": raw["properties"]["email"],
    }


def with_new(base, token):
    client = hubspot_sdk.HubSpot(access_token=token, base_url=base, max_retries=0)
    contacts = client.crm.objects.contacts
    made = contacts.create(properties={"email": "a+b@acme.example"}, associations=[])
    contacts.update(made.id, properties={"lastname": "Doe"})
    read = contacts.get(made.id, properties=["lastname", "email"])
    conflict = None
    try:
        contacts.create(properties={"email": "a+b@acme.example"}, associations=[])
    except hubspot_sdk.ConflictError as error:
        conflict = error.status_code
    listed = [each.id for each in contacts.list()]
    return {
        "lastname": read.properties["lastname"],
        "email": read.properties["email"],
        "conflict": conflict,
        "listed": len(listed),
    }


@pytest.mark.parametrize("use", [with_legacy, with_new])
async def test_an_official_sdk_cannot_tell_the_broker_from_hubspot(broker, hubspot, use):
    await broker.connects("through", portal=101)
    await broker.connects("direct", portal=102)
    token = next(
        each.token for each in hubspot.grants.access_tokens.values() if each.refresh.hub_id == 102
    )

    through = await asyncio.to_thread(use, f"{broker.url}/proxy/hbdev/through", broker.key)
    direct = await asyncio.to_thread(use, hubspot.url, token)

    assert through == direct
    assert through
