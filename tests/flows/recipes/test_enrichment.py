"""What a vendor knows of a contact's e-mail address fills what is empty, and nothing is paid twice."""

import asyncio

import pytest

from tests.fixtures.enrichment import ADA, GRACE, LINUS, SETTINGS, START, USER, person

VENDORS = ["hunter", "peopledatalabs", "apollo", "fullcontact", "clearbit"]


async def test_settings_that_would_start_themselves_or_cannot_work_are_refused(enrichment):
    wrong = [
        ({"vendor": "proxycurl"}, "vendor"),
        ({"fields": {"jobtitle": {"from": "phone"}}}, "from"),
        ({"fields": {"email": {"from": "bio"}}}, "fields.email"),
        ({"fields": {"enriched_by": {"from": "bio"}}}, "fields.enriched_by"),
        ({"fields": {"Job Title": {"from": "bio"}}}, "fields"),
        ({"fields": {"jobtitle": {"from": "job_title", "policy": "always"}}}, "policy"),
        ({"minConfidence": 6}, "minConfidence"),
        ({"dailyBudget": 0}, "dailyBudget"),
        ({"trigger": {"property": "jobtitle", "value": "x"}}, "trigger.property"),
        ({"trigger": {"property": "enrich_now"}}, "trigger.value"),
    ]
    for body, field in wrong:
        answer = await enrichment.puts(**body)
        assert answer.status == 400, (body, answer.body)
        assert any(field in each["field"] for each in answer.json()["errors"]), answer.body

    first = await enrichment.puts(fields={"jobtitle": {"from": "job_title"}})
    shown = await enrichment.broker.asks("GET", SETTINGS)
    assert first.status == 200
    assert shown.json()["fields"] == {"jobtitle": {"from": "job_title", "policy": "fill"}}
    assert b"canary" not in shown.body


@pytest.mark.parametrize("vendor", VENDORS)
async def test_each_vendor_fills_what_is_empty_and_leaves_what_a_person_typed(enrichment, vendor):
    """vendors.md 8.4 3: a stale job never overwrites what sales typed."""
    rules = {
        "jobtitle": {"from": "job_title"},
        "company": {"from": "company_name"},
        "city": {"from": "city"},
        "country": {"from": "country", "policy": "never"},
    }
    await enrichment.puts(vendor, fields=rules)
    contact = enrichment.contact(email=ADA, lastname="Byron", company="Typed Ltd")

    answer = await enrichment.starts(contact)

    assert answer.status == 200, answer.body
    result = answer.json()
    assert (result["outcome"], result["written"]) == ("found", ["city", "jobtitle"])
    assert {each["field"]: each["why"] for each in result["skipped"]} == {
        "company": "has-a-value",
        "country": "never",
    }
    shown = enrichment.shows(contact)
    assert shown["jobtitle"].lower() == "head of computing"
    assert (shown["company"], shown.get("country")) == ("Typed Ltd", None)
    assert shown["enriched_at"]
    assert shown["enriched_by"]
    assert (result["confidence"] == 0.9) is (vendor == "peopledatalabs")
    assert len(enrichment.lookups(vendor)) == len(enrichment.world.billed[vendor]) == 1


async def test_an_answer_is_paid_once_however_often_it_is_used(enrichment, database):
    """8.4 4: re-runs burn no credits, neither do misses."""
    first, second = enrichment.contact(email=ADA), enrichment.contact(email="nobody@x.example")

    answers = [await enrichment.starts(each) for each in (first, second, first, second)]
    enrichment.change(first, jobtitle="")
    again = await enrichment.starts(email=ADA.upper())

    assert [each.json()["outcome"] for each in answers] == ["found", "not-found"] * 2
    assert answers[1].json()["runId"] == answers[3].json()["runId"]
    assert again.json()["written"] == ["jobtitle"]
    assert again.json()["lookedUp"] is False
    assert len(enrichment.lookups()) == 2
    await database.execute("UPDATE enrichment_answer SET expires_at = now() - interval '1 second'")
    enrichment.change(first, jobtitle="")
    assert (await enrichment.starts(first)).json()["lookedUp"] is True


async def test_two_replicas_and_two_contacts_of_one_address_look_it_up_once(
    enrichment, start_broker, database
):
    other = await start_broker(**enrichment.urls, allow_private_endpoints=True)
    other.key = enrichment.broker.key
    assert (await enrichment.broker.connects("u2", 102)).status in {200, 303}
    enrichment.world.latency = 0.3
    here, there = enrichment.contact(email=ADA), enrichment.contact(102, email=ADA)

    await asyncio.gather(
        *(enrichment.starts(here, each) for each in (enrichment.broker, other) * 3),
        enrichment.broker.asks(
            "POST", START, json={"userForeignIdentifier": "u2", "contactId": there}
        ),
    )
    await enrichment.wakes(database)

    assert {each["state"] for each in await enrichment.runs()} == {"done"}
    assert len(enrichment.lookups()) == 1
    assert enrichment.shows(here)["jobtitle"] == enrichment.shows(there, 102)["jobtitle"]


async def test_addresses_that_are_nobodys_are_not_looked_up(enrichment):
    """8.4 2: role addresses; free mail is a setting."""
    cases = {
        "info@analytical.example": "role-address",
        "sales+x@analytical.example": "role-address",
        "ada@gmail.com": "free-mail",
        "": "no-email",
    }
    for email, reason in cases.items():
        answer = await enrichment.starts(enrichment.contact(email=email, firstname="x"))
        assert (answer.json()["outcome"], answer.json()["reason"]) == ("refused", reason)
    unknown = [await enrichment.starts(each) for each in ("999999",)]
    unknown.append(await enrichment.starts(email="not-there@x.example"))
    both = await enrichment.starts("1", email=ADA)

    assert [each.status for each in unknown] == [422, 422]
    assert both.status == 400
    assert enrichment.lookups() == []
    await enrichment.puts(skipFreeMail=False)
    gmail = await enrichment.starts(enrichment.contact(email="bob+test@gmail.com"))
    assert gmail.json()["outcome"] == "not-found"
    assert "email=bob%2Btest@gmail.com" in enrichment.lookups()[0].target


async def test_another_person_and_an_unsure_match_are_written_nowhere(enrichment):
    enrichment.world.add(
        person("eve@new.example", last_name="Jones", domain="old.example", title="x")
    )
    answers = [
        await enrichment.starts(enrichment.contact(email="eve@new.example", lastname="Stone")),
        await enrichment.starts(enrichment.contact(email=LINUS)),
    ]
    await enrichment.puts("peopledatalabs")
    answers.append(await enrichment.starts(email=LINUS))
    await enrichment.puts("peopledatalabs", minConfidence=0.2)
    answers.append(await enrichment.starts(email=LINUS))

    outcomes = [(each.json()["outcome"], each.json().get("reason")) for each in answers]
    assert outcomes == [
        ("refused", "another-person"),
        ("refused", "low-confidence"),
        ("not-found", None),
        ("found", None),
    ]
    # A miss was not billed, and a lower confidence does not count it as an answer.
    assert enrichment.world.billed["peopledatalabs"] == [LINUS]


async def test_one_unknown_or_unfitting_property_does_not_cost_the_others(enrichment):
    """8.4 5 and 7: an unknown property, an option and a number that do not fit."""
    portal = enrichment.broker.hubspot.portals[101]
    kind = portal.type("contacts")
    enrichment.broker.hubspot.crm(portal)
    base = portal.definitions(kind)["jobtitle"]
    options = [{"label": "Director", "value": "dir", "displayOrder": 0, "hidden": False}]
    portal.definitions(kind).update(
        level={**base, "name": "level", "type": "enumeration", "options": options},
        sector={**base, "name": "sector", "type": "enumeration", "options": options},
        staff={**base, "name": "staff", "type": "number"},
    )
    await enrichment.puts(
        fields={
            "jobtitle": {"from": "job_title"},
            "clearbit_enriched": {"from": "bio"},
            "level": {"from": "seniority"},
            "sector": {"from": "company_industry"},
            "staff": {"from": "company_size"},
            "hs_object_source_label": {"from": "bio"},
        }
    )
    check = await enrichment.broker.asks("POST", f"{START}/check", json=USER)

    result = (await enrichment.starts(enrichment.contact(email=ADA))).json()

    assert result["written"] == ["jobtitle", "level"]
    why = {each["field"]: each["why"] for each in result["skipped"]}
    assert why["clearbit_enriched"] == "no-such-property"
    assert (why["sector"], why["staff"]) == ("not-an-option", "not-a-number")
    assert "clearbit_enriched" in check.json()["findings"][0]["message"]


async def test_overwriting_is_a_choice_and_stands_in_the_run(enrichment):
    """8.4 12."""
    await enrichment.puts(fields={"jobtitle": {"from": "job_title", "policy": "overwrite"}})
    contact = enrichment.contact(email=GRACE, jobtitle="Admiral")
    dry = await enrichment.starts(contact, dryRun=True)
    nothing = enrichment.lookups()
    first = await enrichment.starts(contact)
    enrichment.change(contact, jobtitle="Admiral")
    shown = await enrichment.starts(contact, dryRun=True)

    assert nothing == []
    assert dry.json()["wouldLookUp"] == {"vendor": "Hunter", "email": GRACE}
    assert first.json()["overwritten"] == {"jobtitle": "Admiral"}
    assert shown.json()["wouldWrite"] == {"jobtitle": {"from": "Admiral", "to": "VP Engineering"}}
    assert enrichment.shows(contact)["jobtitle"] == "Admiral"


async def test_hidden_values_are_absent(enrichment):
    """8.4 6: Apollo's placeholders; People Data Labs' booleans."""
    enrichment.world.levers.placeholder_email = True
    await enrichment.puts("apollo", fields={"message": {"from": "bio"}})
    contact = enrichment.contact(email=ADA)

    result = (await enrichment.starts(contact)).json()

    assert result["written"] == []
    assert result["skipped"] == [{"field": "message", "why": "vendor-does-not-know"}]
