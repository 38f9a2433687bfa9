"""Contacts of the sandbox Xero."""

from tests.sandbox.xero.client import invoice


async def test_contact_names_and_numbers_are_unique_among_active_ones(books):
    first = await books.contact(ContactNumber="hubspot-512", EmailAddress="a@x.io")
    twin = await books.refused("Contacts", {"Name": "ada lovelace"})
    number = await books.refused("Contacts", {"Name": "B", "ContactNumber": "hubspot-512"})
    changed = await books.ok(
        "POST", "Contacts", {"Contacts": [{"ContactNumber": "hubspot-512", "FirstName": "Ada"}]}
    )
    archive = {"ContactID": first["ContactID"], "ContactStatus": "ARCHIVED"}
    await books.ok("POST", "Contacts", {"Contacts": [archive]})
    again = await books.contact()
    hidden = await books.ok("GET", "Contacts")
    shown = await books.ok("GET", "Contacts", includeArchived="true")

    unique = "The contact name must be unique across all active contacts."
    assert twin == [
        f"The contact name ada lovelace is already assigned to another contact. {unique}"
    ]
    assert number == ["The contact number hubspot-512 is already assigned to another contact."]
    assert changed["Contacts"][0]["ContactID"] == first["ContactID"]
    assert changed["Contacts"][0]["EmailAddress"] == "a@x.io"
    assert [each["ContactID"] for each in hidden["Contacts"]] == [again["ContactID"]]
    assert len(shown["Contacts"]) == 2
    archived = "The contact with the specified contact details has been archived."
    rule = "The contact must be un-archived before creating new invoices or credit notes."
    assert await books.refused("Invoices", invoice(first)) == [f"{archived} {rule}"]


async def test_a_wrong_contact_is_refused_with_its_message(books):
    for element, message in (
        ({"EmailAddress": "a@x.io"}, "The contact name cannot be empty."),
        ({"Name": "A", "EmailAddress": "nobody"}, "Email address must be valid."),
        (
            {"Name": "A", "ContactNumber": "x" * 51},
            "The contact number must not be longer than 50 characters.",
        ),
    ):
        assert await books.refused("Contacts", element) == [message]
    status, answer = await books.call("PUT", "Contacts", "{")
    assert (status, answer["Type"]) == (400, "PostDataInvalidException")


async def test_lists_are_filtered_ordered_and_paged(books):
    for n in range(5):
        await books.contact(f"Contact {n}", ContactNumber=f"hubspot-{n}", EmailAddress=f"{n}@x.io")

    async def names(**query):
        found = await books.ok("GET", "Contacts", **query)
        return [each["Name"][-1] for each in found["Contacts"]]

    assert await names(where='ContactNumber=="hubspot-3"') == ["3"]
    assert await names(where='Name=="contact 1" OR (Name.EndsWith("2") AND EmailAddress!=null)') == ["1", "2"]  # fmt: skip
    assert await names(where='Name.Contains("tact 4")') == ["4"]
    assert await names(where="UpdatedDateUTC>=DateTime(2026,11,28)&&IsSupplier==null") == list("01234")  # fmt: skip
    assert await names(searchTerm="hubspot-2") == ["2"]
    assert await names(order="Name DESC", page="2", pageSize="2") == ["2", "1"]
    paged = await books.ok("GET", "Contacts", page="1", pageSize="2")
    assert paged["pagination"] == {"page": 1, "pageSize": 2, "pageCount": 3, "itemCount": 5}
    for wrong in ("Nonsense==1", "Name=", 'Name=="a" OR', "Name ~ 1", "(Name==null"):
        status, answer = await books.call("GET", "Contacts", where=wrong)
        assert (status, answer["Type"]) == (400, "QueryParseException"), wrong


async def test_if_modified_since_is_to_the_second(books):
    await books.contact("Old")
    books.world.jump(10)
    await books.contact("New")

    async def names(since):
        headers = {"If-Modified-Since": since}
        return [
            each["Name"]
            for each in (await books.ok("GET", "Contacts", headers=headers))["Contacts"]
        ]

    assert await names("2026-11-28T12:00:00") == ["Old", "New"]
    assert await names("2026-11-28T12:00:01") == ["New"]
    assert await names("Sat, 28 Nov 2026 12:00:11 GMT") == []
    assert (await books.call("GET", "Contacts", headers={"If-Modified-Since": "today"}))[0] == 400
