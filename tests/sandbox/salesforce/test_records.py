"""The sandbox Salesforce applies an org's rules to records, and refuses with Salesforce's errors."""

import pytest

from tests.sandbox.salesforce.client import ADA

KEY = "HubSpot_Contact_ID__c"
FIELD = {
    "object": "Lead",
    "name": KEY,
    "length": 64,
    "externalId": True,
    "unique": True,
    "caseSensitive": True,
}
NO_ASSIGNMENT = {"Sforce-Auto-Assign": "FALSE"}


@pytest.fixture
async def keyed(connected):
    """The app, with an external id on leads."""
    await connected.control("/fields", FIELD)
    return connected


def lead(**fields):
    return {"LastName": "Byron", "Company": "Acme", **fields}


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({"FirstName": "Ada"}, "REQUIRED_FIELD_MISSING", ["LastName", "Company"]),
        (lead(Company=" "), "REQUIRED_FIELD_MISSING", ["Company"]),
        (lead(LastName="x" * 81), "STRING_TOO_LONG", ["LastName"]),
        (lead(Email="nobody"), "INVALID_EMAIL_ADDRESS", ["Email"]),
        (lead(Status="Open"), "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["Status"]),
        (lead(Status="Closed - Converted"), "FIELD_INTEGRITY_EXCEPTION", ["Status"]),
        (lead(Nothing__c="x"), "INVALID_FIELD", []),
        (lead(IsConverted=True), "INVALID_FIELD_FOR_INSERT_UPDATE", ["IsConverted"]),
        (lead(OwnerId="someone"), "MALFORMED_ID", ["OwnerId"]),
        (lead(OwnerId="005Hs0000000zzz"), "INVALID_CROSS_REFERENCE_KEY", []),
        (lead(FirstName=5), "JSON_PARSER_ERROR", None),
        (lead(HasOptedOutOfEmail="yes"), "JSON_PARSER_ERROR", None),
        (lead(NumberOfEmployees="51-200"), "JSON_PARSER_ERROR", None),
    ],
)
async def test_a_wrong_lead_is_refused_in_an_array_that_names_its_fields(
    connected, body, code, fields
):
    got = await connected.call("POST", "/sobjects/Lead", body, NO_ASSIGNMENT)

    assert got.status == 400
    assert isinstance(got.body, list)
    assert got.code == code
    assert got.body[0].get("fields") == fields
    assert connected.org.tables["Lead"] == {}


async def test_bodies_must_be_json_with_its_content_type(connected):
    url = connected.running.url + "/services/data/v66.0/sobjects/Lead"
    sent = {"Authorization": f"Bearer {connected.token}"}

    form = await connected.send("POST", url, headers=sent, data={"LastName": "x"})
    broken = await connected.send(
        "POST", url, headers={**sent, "Content-Type": "application/json"}, data="{"
    )

    assert (form.status, form.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert (broken.status, broken.code) == (400, "JSON_PARSER_ERROR")


async def test_a_lead_is_made_read_changed_and_deleted_once(connected):
    lead_id = await connected.make(FirstName="Ada", Email=" ada@x.io ")
    read = await connected.read(lead_id)
    changed = await connected.call(
        "PATCH", f"/sobjects/Lead/{lead_id[:15]}", {"Title": "Countess", "FirstName": ""}
    )
    some = await connected.call("GET", f"/sobjects/Lead/{lead_id}?fields=Name,Title")
    gone = [await connected.call("DELETE", f"/sobjects/Lead/{lead_id}") for _ in range(2)]
    late = await connected.call("PATCH", f"/sobjects/Lead/{lead_id}", {"Title": "x"})

    assert lead_id.startswith("00Q")
    assert len(lead_id) == 18
    assert (read["Name"], read["Email"], read["Status"]) == (
        "Ada Byron",
        "ada@x.io",
        "Open - Not Contacted",
    )
    assert read["SystemModstamp"].endswith(".000+0000")
    assert read["attributes"] == {
        "type": "Lead",
        "url": f"/services/data/v66.0/sobjects/Lead/{lead_id}",
    }
    assert (changed.status, changed.body) == (204, "")
    assert {name: some.body[name] for name in ("Name", "Title")} == {
        "Name": "Byron",
        "Title": "Countess",
    }
    assert [(each.status) for each in gone] == [204, 404]
    assert [gone[1].code, late.code] == ["ENTITY_IS_DELETED"] * 2


async def test_ids_are_case_sensitive_in_fifteen_characters_and_checked_in_eighteen(connected):
    lead_id = await connected.make()
    swapped = lead_id[:3] + lead_id[3:15].swapcase()

    answers = [
        await connected.call("GET", f"/sobjects/Lead/{each}")
        for each in (lead_id[:15], swapped, swapped + lead_id[15:], "nothing")
    ]

    assert [each.status for each in answers] == [200, 404, 400, 400]
    assert answers[1].code == "NOT_FOUND"
    assert answers[3].code == "MALFORMED_ID"


async def test_upsert_makes_once_and_changes_after(keyed):
    path = f"/sobjects/Lead/{KEY}/42%2Fa"
    only = await keyed.call("PATCH", f"{path}?updateOnly=true", lead())
    made = await keyed.call("PATCH", path, lead())
    again = await keyed.call("PATCH", path, {"Title": "Countess"})
    read = await keyed.call("GET", path)

    assert (only.status, only.code) == (404, "NOT_FOUND")
    assert (made.status, made.body["created"], made.body["success"]) == (201, True, True)
    assert (again.status, again.body["created"], again.body["id"]) == (200, False, made.body["id"])
    assert (read.body[KEY], read.body["Title"]) == ("42/a", "Countess")
    assert len(keyed.org.tables["Lead"]) == 1


async def test_the_external_id_is_refused_inside_the_body_of_an_upsert(keyed):
    got = await keyed.call("PATCH", f"/sobjects/Lead/{KEY}/42", lead(**{KEY: "42"}))

    assert (got.status, got.code) == (400, "INVALID_FIELD")
    assert got.body[0]["message"] == f"The {KEY} field should not be specified in the sobject data."


async def test_an_external_id_of_several_records_gets_their_urls_and_changes_nothing(keyed):
    keyed.org.objects["lead"].fields[KEY.lower()].unique = False
    ids = [await keyed.make(**{KEY: "7"}) for _ in range(2)]

    got = await keyed.call("PATCH", f"/sobjects/Lead/{KEY}/7", {"Title": "x"})

    assert got.status == 300
    assert got.body == [f"/services/data/v66.0/sobjects/Lead/{each}" for each in ids]
    assert {each["Title"] for each in keyed.org.tables["Lead"].values()} == {None}


async def test_a_unique_value_names_the_record_that_has_it(keyed):
    first = await keyed.make(**{KEY: "7"})
    got = await keyed.call("POST", "/sobjects/Lead", lead(**{KEY: "7"}))

    assert (got.status, got.code) == (400, "DUPLICATE_VALUE")
    assert got.body[0]["message"] == (
        f"duplicate value found: {KEY} duplicates value on record with id: {first[:15]}"
    )


async def test_field_level_security_hides_a_field_everywhere(keyed):
    """3.11.9."""
    await keyed.control("/field-security", {"object": "Lead", "field": KEY, "access": "none"})

    names = [
        each["name"] for each in (await keyed.call("GET", "/sobjects/Lead/describe")).body["fields"]
    ]
    upsert = await keyed.call("PATCH", f"/sobjects/Lead/{KEY}/1", lead())
    create = await keyed.call("POST", "/sobjects/Lead", lead(**{KEY: "1"}))
    query = await keyed.query(f"SELECT {KEY} FROM Lead")

    assert KEY not in names
    assert (upsert.status, upsert.code) == (404, "NOT_FOUND")
    assert upsert.body[0]["message"].startswith(
        "Provided external ID field does not exist or is not accessible"
    )
    assert create.body[0]["message"] == f"No such column '{KEY}' on sobject of type Lead"
    assert query.code == "INVALID_FIELD"


async def test_a_read_only_field_is_described_as_such_and_not_written(connected):
    await connected.control(
        "/field-security", {"object": "Lead", "field": "Title", "access": "read"}
    )

    fields = (await connected.call("GET", "/sobjects/Lead/describe")).body["fields"]
    got = await connected.call("POST", "/sobjects/Lead", lead(Title="x"))

    assert [each["updateable"] for each in fields if each["name"] == "Title"] == [False]
    assert (got.code, got.body[0]["fields"]) == ("INVALID_FIELD_FOR_INSERT_UPDATE", ["Title"])


async def test_a_field_made_by_the_api_is_invisible_until_it_is_granted(connected):
    metadata = {"type": "Text", "label": "Key", "length": 64, "externalId": True, "unique": True}
    body = {"FullName": f"Lead.{KEY}", "Metadata": metadata}
    made = await connected.call("POST", "/tooling/sobjects/CustomField", body)
    twice = await connected.call("POST", "/tooling/sobjects/CustomField", body)
    hidden = await connected.call("PATCH", f"/sobjects/Lead/{KEY}/1", lead())
    await connected.control("/field-security", {"object": "Lead", "field": KEY, "access": "edit"})
    shown = await connected.call("PATCH", f"/sobjects/Lead/{KEY}/1", lead())

    assert (made.status, made.body["success"]) == (201, True)
    assert twice.code == "DUPLICATE_DEVELOPER_NAME"
    assert (hidden.status, shown.status) == (404, 201)


async def test_describe_has_what_a_mapping_needs(keyed):
    body = (await keyed.call("GET", "/sobjects/Lead/describe")).body
    fields = {each["name"]: each for each in body["fields"]}

    assert (fields[KEY]["externalId"], fields[KEY]["unique"], fields[KEY]["length"]) == (
        True,
        True,
        64,
    )
    assert (fields["LastName"]["nillable"], fields["LastName"]["length"]) == (False, 80)
    assert fields["Status"]["restrictedPicklist"] is True
    assert fields["Status"]["defaultedOnCreate"] is True
    assert [each["value"] for each in fields["Status"]["picklistValues"]][:2] == [
        "Open - Not Contacted",
        "Working - Contacted",
    ]
    assert fields["OwnerId"]["referenceTo"] == ["User", "Group"]
    assert fields["IsConverted"]["updateable"] is False


async def test_a_picklist_accepts_other_values_until_it_is_restricted(connected):
    """3.11.10."""
    stray = await connected.call("POST", "/sobjects/Lead", lead(LeadSource="Carrier pigeon"))
    values = [{"value": "Web"}, {"value": "Phone", "active": False}]
    await connected.control(
        "/picklists",
        {"object": "Lead", "field": "LeadSource", "restricted": True, "values": values},
    )
    answers = [
        await connected.call("POST", "/sobjects/Lead", lead(LeadSource=each))
        for each in ("Web", "Phone")
    ]

    assert stray.status == 201
    assert [each.status for each in answers] == [201, 400]
    assert (
        answers[1].body[0]["message"]
        == "Lead Source: bad value for restricted picklist field: Phone"
    )


async def test_the_admins_rule_refuses_with_the_admins_text(connected):
    rule = {"text": "Tell the title.", "field": "Title", "when": {"Title": None}}
    await connected.control("/validation-rules", rule)

    refused = await connected.call("POST", "/sobjects/Lead", lead())
    taken = await connected.call("POST", "/sobjects/Lead", lead(Title="Countess"))

    assert refused.body == [
        {
            "message": "Tell the title.",
            "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "fields": ["Title"],
        }
    ]
    assert taken.status == 201


async def test_an_alert_lets_a_duplicate_be_saved_when_allowed_and_a_block_never(connected):
    """3.11.6, 3.11.7."""
    first = await connected.make(Email="ada@x.io")
    allowed = {
        "Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=false; runAsCurrentUser=true"
    }
    statuses = {}
    for rule in ("alert", "block"):
        await connected.control("/levers", {"duplicate_rule": rule})
        refused = await connected.call("POST", "/sobjects/Lead", lead(Email="ADA@x.io"))
        saved = await connected.call("POST", "/sobjects/Lead", lead(Email="ada@x.io"), allowed)
        statuses[rule] = [refused.status, saved.status]
    result = refused.body[0]["duplicateResult"]

    assert statuses == {"alert": [400, 201], "block": [400, 400]}
    assert refused.code == "DUPLICATES_DETECTED"
    assert refused.body[0]["message"] == "Use one of these records?"
    assert (result["allowSave"], result["duplicateRuleEntityType"]) == (False, "Lead")
    assert result["matchResults"][0]["matchRecords"][0]["record"]["Id"] == first
    assert result["matchResults"][0]["size"] == 2


async def test_a_change_of_another_field_does_not_meet_the_duplicate_rule(connected):
    ids = [await connected.make(Email="ada@x.io") for _ in range(2)]
    await connected.control("/levers", {"duplicate_rule": "block"})

    title = await connected.call("PATCH", f"/sobjects/Lead/{ids[0]}", {"Title": "Countess"})
    email = await connected.call("PATCH", f"/sobjects/Lead/{ids[0]}", {"Email": "ada@x.io"})

    assert [title.status, email.status] == [204, 400]


async def test_assignment_rules_set_the_owner_unless_the_header_is_false(connected):
    """3.11.8."""
    grace = (await connected.control("/users", {"username": "grace@acme.example"}))["id"]
    queue = (await connected.control("/queues", {"name": "New leads"}))["id"]
    body = lead(OwnerId=grace)

    async def owner(headers):
        made = (await connected.call("POST", "/sobjects/Lead", body, headers)).body["id"]
        return (await connected.read(made))["OwnerId"]

    without_rule = [await owner({}), await owner(NO_ASSIGNMENT)]
    await connected.control("/levers", {"assignment_rule": queue})
    with_rule = [await owner({}), await owner(NO_ASSIGNMENT)]

    assert without_rule == [connected.org.default_lead_owner, grace]
    assert with_rule == [queue, grace]


async def test_an_inactive_owner_is_refused(connected):
    gone = (await connected.control("/users", {"username": "gone@acme.example", "active": False}))[
        "id"
    ]

    got = await connected.call("POST", "/sobjects/Lead", lead(OwnerId=gone), NO_ASSIGNMENT)

    assert (got.status, got.code) == (400, "INACTIVE_OWNER_OR_USER")
    assert (
        got.body[0]["message"]
        == f"operation performed with inactive user [{gone[:15]}] as owner of lead"
    )


async def test_person_accounts_let_a_lead_do_without_company(connected):
    """3.11.12."""
    before = await connected.call("POST", "/sobjects/Lead", {"LastName": "Byron"})
    await connected.control("/levers", {"person_accounts": True})
    after = await connected.call("POST", "/sobjects/Lead", {"LastName": "Byron"})
    became = await connected.control(f"/records/Lead/{after.body['id']}/convert", {})
    account = await connected.read(became["ConvertedAccountId"], "Account")
    kinds = (
        await connected.query("SELECT DeveloperName FROM RecordType WHERE IsPersonType = true")
    ).body

    assert (before.code, after.status) == ("REQUIRED_FIELD_MISSING", 201)
    assert (account["IsPersonAccount"], account["Name"]) == (True, "Byron")
    assert [each["DeveloperName"] for each in kinds["records"]] == ["PersonAccount"]


async def test_state_and_country_picklists_refuse_free_text(connected):
    await connected.control("/levers", {"state_country_picklists": True})

    free = await connected.call("POST", "/sobjects/Lead", lead(State="Kalifornien"))
    coded = await connected.call("POST", "/sobjects/Lead", lead(StateCode="CA", CountryCode="US"))

    assert (free.code, free.body[0]["fields"]) == ("FIELD_INTEGRITY_EXCEPTION", ["State"])
    assert coded.status == 201


async def test_a_planned_error_occurs_as_often_as_set(connected):
    planned = {
        "errorCode": "UNABLE_TO_LOCK_ROW",
        "message": "unable to obtain exclusive access to this record",
        "times": 1,
    }
    await connected.control("/levers", {"refuse_writes": planned})

    answers = [await connected.call("POST", "/sobjects/Lead", lead()) for _ in range(2)]

    assert [each.status for each in answers] == [400, 201]
    assert answers[0].code == "UNABLE_TO_LOCK_ROW"


async def test_objects_and_organizations_can_be_closed_to_an_app(connected):
    await connected.control("/levers", {"read_only_objects": ["Lead"]})
    closed = await connected.call("POST", "/sobjects/Lead", lead())
    setup = await connected.call(
        "PATCH", f"/sobjects/User/{connected.org.default_lead_owner}", {"LastName": "x"}
    )
    await connected.control("/levers", {"api_disabled": True})
    disabled = await connected.call("GET", "/limits")

    assert (closed.status, closed.code) == (403, "INSUFFICIENT_ACCESS_OR_READONLY")
    assert setup.code == "INVALID_TYPE_FOR_OPERATION"
    assert (disabled.status, disabled.code) == (403, "API_DISABLED_FOR_ORG")


async def test_the_daily_budget_is_shown_with_every_answer_and_enforced(connected):
    await connected.control("/levers", {"api_budget": 2})

    answers = [
        await connected.call("GET", path) for path in ("/limits", "/sobjects/Nothing", "/limits")
    ]
    connected.world.ahead += 86_401
    await connected.connect()

    assert [each.headers.get("Sforce-Limit-Info") for each in answers[:2]] == [
        "api-usage=1/2",
        "api-usage=2/2",
    ]
    assert answers[0].body["DailyApiRequests"] == {"Max": 2, "Remaining": 1}
    assert (answers[2].status, answers[2].code) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert (await connected.call("GET", "/limits")).status == 200


async def test_a_collection_lists_each_result_and_all_or_none_undoes_all(keyed):
    records = [
        {"attributes": {"type": "Lead"}, **lead(**{KEY: "1"})},
        {"attributes": {"type": "Lead"}, "LastName": "x"},
    ]
    together = await keyed.call(
        "POST", "/composite/sobjects", {"allOrNone": True, "records": records}
    )
    left = len(keyed.org.tables["Lead"])
    apart = await keyed.call("POST", "/composite/sobjects", {"records": records})
    upserted = await keyed.call(
        "PATCH",
        f"/composite/sobjects/Lead/{KEY}",
        {
            "records": [
                {"attributes": {"type": "Lead"}, KEY: each, **lead(Title="x")}
                for each in ("1", "2")
            ]
        },
    )
    many = await keyed.call("POST", "/composite/sobjects", {"records": records[:1] * 201})

    assert [each["errors"][0]["statusCode"] for each in together.body] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "REQUIRED_FIELD_MISSING",
    ]
    assert left == 0
    assert [each["success"] for each in apart.body] == [True, False]
    assert apart.body[1]["errors"][0]["fields"] == ["Company"]
    assert [(each["success"], each["created"]) for each in upserted.body] == [
        (True, False),
        (True, True),
    ]
    assert (many.status, many.code) == (400, "EXCEEDED_ID_LIMIT")


async def test_collections_read_change_and_delete(connected):
    ids = [await connected.make() for _ in range(2)]
    changes = [{"attributes": {"type": "Lead"}, "id": each, "Title": "x"} for each in ids]
    changed = await connected.call("PATCH", "/composite/sobjects", {"records": changes})
    read = await connected.call(
        "POST",
        "/composite/sobjects/Lead",
        {"ids": [ids[0], "00QHs0000000zzz"], "fields": ["Title"]},
    )
    gone = await connected.call("DELETE", f"/composite/sobjects?ids={ids[0]},nothing")

    assert [each["success"] for each in changed.body] == [True, True]
    assert (read.body[0]["Title"], read.body[1]) == ("x", None)
    assert [each["success"] for each in gone.body] == [True, False]


@pytest.mark.parametrize(
    ("base", "status", "code"),
    [
        ("/services/data/v29.0", 410, "UNSUPPORTED_API_VERSION"),
        ("/services/data/v69.0", 404, "NOT_FOUND"),
        ("/services/data/v31.0", 200, None),
    ],
)
async def test_versions_end_at_both_ends(connected, base, status, code):
    got = await connected.call("GET", "/limits", base=base)

    assert got.status == status
    assert code is None or got.code == code


async def test_another_orgs_session_opens_nothing(connected):
    await connected.control("/orgs", {"name": "globex", "admin": "hank@globex.example"})
    globex = await connected.connect("hank@globex.example")

    here = await connected.call("GET", "/limits", token=globex["access_token"])
    there = await connected.call(
        "GET", "/limits", token=globex["access_token"], url=globex["instance_url"]
    )
    login = await connected.call("GET", "/limits", url=connected.running.login_url)

    assert [here.status, there.status, login.status] == [401, 200, 404]
    assert (await connected.authorize(username=ADA))["code"]


@pytest.mark.parametrize("body", [[], None, 5, "x", {"records": 5}, {"records": [5]}, {"ids": 5, "fields": [1]}, {"Metadata": 5}, {"LastName": {"a": []}, "Company": ["x"]}, {"OwnerId": 7}, {"attributes": 5}])  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sobjects/Lead"),
        ("PATCH", f"/sobjects/Lead/{KEY}/1"),
        ("POST", "/composite/sobjects"),
        ("PATCH", f"/composite/sobjects/Lead/{KEY}"),
        ("POST", "/composite/sobjects/Lead"),
        ("POST", "/tooling/sobjects/CustomField"),
    ],
)
async def test_an_odd_body_gets_an_error_of_salesforce_and_makes_nothing(keyed, method, path, body):
    got = await keyed.call(method, path, body)

    assert got.status in {400, 404, 415}
    assert got.code
    assert keyed.org.tables["Lead"] == {}


async def test_faults_answer_instead_of_salesforce_and_end(connected):
    busy = '[{"message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]'
    path = "/services/data/*/limits"
    await connected.control(
        "/faults", {"path": path, "kind": "status", "status": 403, "body": busy, "times": 1}
    )
    await connected.control("/faults", {"path": path, "kind": "html", "status": 503, "times": 1})

    answers = [await connected.call("GET", "/limits") for _ in range(3)]

    assert [each.status for each in answers] == [403, 503, 200]
    assert answers[0].code == "REQUEST_LIMIT_EXCEEDED"
    assert answers[1].headers["Content-Type"].startswith("text/html")


async def test_an_admin_revokes_one_users_connections(connected):
    await connected.control("/users", {"username": "grace@acme.example"})
    hers = await connected.connect("grace@acme.example")
    his = await connected.connect(ADA)
    await connected.control("/levers", {"revoke": "grace@acme.example"})

    refreshed = [await connected.refresh(each["refresh_token"]) for each in (hers, his)]

    assert [each.status for each in refreshed] == [400, 200]
