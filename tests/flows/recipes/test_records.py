"""Records of any object type as recipes reach them: as one user, in one account."""

from uuid import UUID

import pytest

from broker.crm.records import HubSpotUser
from broker.errors import InputRefused, OtherAccount, ScopesMissing

SCOPES = [
    "oauth",
    *(
        f"crm.{part}.{kind}.{right}"
        for kind in ("contacts", "companies", "deals")
        for part in ("objects", "schemas")
        for right in ("read", "write")
    ),
]
KEY = {
    "name": "order_key",
    "label": "Order key",
    "type": "string",
    "fieldType": "text",
    "groupName": "dealinformation",
    "hasUniqueValue": True,
}


@pytest.fixture
async def connected(start_broker):
    broker = await start_broker()
    await broker.makes_workspace()
    assert (await broker.registers(scopes=SCOPES)).status == 201
    await broker.connects("u1")
    return broker


@pytest.fixture
def access(connected):
    """A writer for u1 in an account."""

    def writer(hub_id=101):
        user = HubSpotUser(UUID(connected.workspace), "hbdev", "u1", hub_id)
        return connected.parts.recipes.crm.writer(user)

    return writer


async def test_an_upsert_makes_one_record_for_a_unique_value(access):
    writer = access()
    await writer.create_property("deals", KEY)
    await writer.create_property("deals", KEY)

    first = await writer.upsert("deals", "order_key", "shop:1", {"dealname": "A"})
    second = await writer.upsert("deals", "order_key", "shop:1", {"dealname": "B"})

    assert "order_key" in await writer.property_names("deals")
    assert (first.created, second.created, first.id == second.id) == (True, False, True)
    read = await writer.read("deals", "shop:1", ["dealname"], id_property="order_key")
    assert read["dealname"] == "B"


async def test_an_upsert_names_the_property_that_hubspot_rejects(access):
    writer = access()
    await writer.create_property("deals", KEY)

    with pytest.raises(InputRefused) as refusal:
        await writer.upsert("deals", "order_key", "shop:1", {"no_such_property": "A"})

    assert refusal.value.context["errors"] == [
        {"field": "no_such_property", "message": "rejected by HubSpot"}
    ]


async def test_records_are_associated_once_and_a_missing_one_is_refused(access, connected):
    writer = access()
    await writer.create_property("deals", KEY)
    deal = await writer.upsert("deals", "order_key", "shop:1", {"dealname": "A"})
    contact = await writer.upsert("contacts", "email", "ann@x.example", {"firstname": "Ann"})

    await writer.associate("deals", deal.id, "contacts", contact.id)
    await writer.associate("deals", deal.id, "contacts", contact.id)
    with pytest.raises(InputRefused):
        await writer.associate("deals", "999999", "contacts", contact.id)

    listed = await connected.proxies(f"/crm/v4/objects/deals/{deal.id}/associations/contacts")
    assert [each["toObjectId"] for each in listed.json()["results"]] == [int(contact.id)]


async def test_a_missing_record_is_none_and_an_update_of_it_false(access):
    assert await access().read("contacts", "999999", ["email"]) is None
    assert await access().update("contacts", "999999", {"firstname": "x"}) is False


async def test_no_call_is_made_in_another_account(access, connected):
    connected.hubspot.seen.clear()

    for work in (
        access(102).read("contacts", "1", ["email"]),
        access(102).update("contacts", "1", {"firstname": "x"}),
        access(102).property_names("contacts"),
    ):
        with pytest.raises(OtherAccount):
            await work

    assert [each for each in connected.hubspot.seen if "/crm/" in each.raw_path] == []


async def test_a_missing_scope_says_so(access):
    with pytest.raises(ScopesMissing):
        await access().property_names("tickets")
