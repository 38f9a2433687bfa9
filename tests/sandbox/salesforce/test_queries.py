"""The sandbox Salesforce reads SOQL strictly, pages, and lists changed and deleted records."""

from datetime import UTC, datetime, timedelta

import pytest

DATA = "/services/data/v66.0"


def names(got):
    assert got.status == 200, got.body
    return [each["LastName"] for each in got.body["records"]]


@pytest.fixture
async def leads(connected):
    """Three leads of different times and titles."""
    for last, title, email in (
        ("Byron", "Countess", "ada@x.io"),
        ("O'Neil", None, "o'neil@x.io"),
        ("Hopper", "Rear Admiral 100%", None),
    ):
        await connected.make(LastName=last, Title=title, Email=email)
        connected.world.ahead += 60
    return connected


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("Email = 'ADA@X.IO'", ["Byron"]),
        (r"Email = 'o\'neil@x.io'", ["O'Neil"]),
        ("Title = null", ["O'Neil"]),
        ("Title != 'Countess'", ["O'Neil", "Hopper"]),
        (r"Title LIKE '%100\%'", ["Hopper"]),
        ("Title LIKE 'count_ss'", ["Byron"]),
        ("LastName IN ('Byron', 'Hopper') AND Email != null", ["Byron"]),
        ("LastName NOT IN ('Byron','Hopper')", ["O'Neil"]),
        ("(LastName = 'Byron' OR LastName = 'Hopper') AND (NOT Title LIKE 'C%')", ["Hopper"]),
        ("IsConverted = false AND LastName < 'C'", ["Byron"]),
        ("Owner.Username = 'ada@acme.example' AND lastname > 'H'", ["O'Neil", "Hopper"]),
        (
            "CreatedDate > 2020-01-01T00:00:00Z AND CreatedDate < 2100-01-01T00:00:00+01:00",
            ["Byron", "O'Neil", "Hopper"],
        ),
    ],
)
async def test_conditions_find_what_salesforce_finds(leads, where, found):
    assert names(await leads.query(f"SELECT LastName FROM Lead WHERE {where}")) == found


@pytest.mark.parametrize(
    ("query", "code", "part"),
    [
        ("SELECT Id FROM Lead WHERE Email = 'o'neil@x.io'", "MALFORMED_QUERY", "unexpected token: 'neil'"),
        ("SELECT Id FROM Lead WHERE Email = 'x", "MALFORMED_QUERY", "mismatched character"),
        ("SELECT Id FROM Lead WHERE Email = 'a' AND Title = 'b' OR Title = 'c'", "MALFORMED_QUERY", "unexpected token: 'OR'"),
        ('SELECT Id FROM Lead WHERE Email = "x"', "MALFORMED_QUERY", "unexpected token: '\"'"),
        ("SELECT Id, FROM Lead", "MALFORMED_QUERY", "unexpected token: 'FROM'"),
        ("SELECT * FROM Lead", "MALFORMED_QUERY", "unexpected token: '*'"),
        ("SELECT Id FROM Lead WHERE CreatedDate > 2026-11-28T01:02:03 00:00", "MALFORMED_QUERY", "unexpected token"),
        (r"SELECT Id FROM Lead WHERE Email = 'a\x'", "MALFORMED_QUERY", "Illegal escape"),
        ("SELECT Id FROM Lead WHERE SystemModstamp > '2026-11-28T01:02:03Z'", "INVALID_FIELD", "must be of type dateTime and should not be enclosed in quotes"),
        ("SELECT Id FROM Lead WHERE Email = 5", "INVALID_FIELD", "must be of type string and should be enclosed in quotes"),
        ("SELECT Id FROM Lead WHERE IsConverted = 'true'", "INVALID_FIELD", "must be of type boolean"),
        ("SELECT Id, Nothing__c FROM Lead", "INVALID_FIELD", "No such column 'Nothing__c' on entity 'Lead'"),
        ("SELECT Id, Id FROM Lead", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Manager.Name FROM Lead", "INVALID_FIELD", "Didn't understand relationship 'Manager'"),
        ("SELECT Id FROM Lead WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Leads", "INVALID_TYPE", "sObject type 'Leads' is not supported"),
        ("SELECT Id FROM Lead OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
        ("SELECT Status, COUNT(Id) FROM Lead GROUP BY Status", "UNSUPPORTED_BY_SANDBOX", "SANDBOX"),
        ("SELECT Id FROM Lead WHERE CreatedDate = LAST_N_DAYS:3", "UNSUPPORTED_BY_SANDBOX", "sandbox"),
    ],
)  # fmt: skip
async def test_a_wrong_query_is_refused_with_the_position_of_the_error(
    connected, query, code, part
):
    got = await connected.query(query)

    assert (got.status, got.code) == (400, code)
    assert part.lower() in str(got.body[0]).lower().replace('\\"', '"').replace("\\'", "'")
    if code in {"MALFORMED_QUERY", "INVALID_FIELD", "INVALID_TYPE"}:
        assert "ERROR at Row:1:Column:" in got.body[0]["message"]


async def test_an_error_points_at_the_column_of_the_injection(connected):
    got = await connected.query("SELECT Id FROM Lead WHERE Email = 'o'neil@x.io'")

    assert got.body[0]["message"].endswith("^\nERROR at Row:1:Column:38\nunexpected token: 'neil'")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"q": "ADA@x.io", "in": "EMAIL"}, ["Byron"]),
        ({"q": "o\\'neil@x.io", "in": "EMAIL"}, ["O'Neil"]),
        ({"q": "o neil x io"}, ["O'Neil"]),
        ({"q": "x.io", "in": "EMAIL"}, ["Byron", "O'Neil"]),
        ({"q": "x.io", "in": "EMAIL", "overallLimit": 1}, ["Byron"]),
        ({"q": "count*"}, ["Byron"]),
        ({"q": "Countess", "in": "EMAIL"}, []),
        ({"q": "' OR Email != '"}, []),
    ],
)
async def test_a_search_by_parameters_finds_words_in_a_scope(leads, body, found):
    sobjects = [{"name": "Lead", "fields": ["LastName", "Email"]}]
    got = await leads.call("POST", "/parameterizedSearch", {**body, "sobjects": sobjects})

    assert got.status == 200, got.body
    assert [each["LastName"] for each in got.body["searchRecords"]] == found


async def test_a_search_by_get_lags_behind_and_refuses_what_it_does_not_know(leads):
    path = "/parameterizedSearch/?q=ada%40x.io&in=EMAIL&sobject=Lead&Lead.fields=LastName"
    got = await leads.call("GET", path)
    leads.org.levers.search_lag = 3600.0
    later = await leads.call("GET", path)
    short = await leads.call("GET", "/parameterizedSearch?q=a&sobject=Lead")
    odd = await leads.call("POST", "/parameterizedSearch", {"q": "ada", "sobject": "Lead"})
    field = await leads.call("GET", "/parameterizedSearch?q=ada&sobject=Lead&Lead.fields=No__c")

    (record,) = got.body["searchRecords"]
    assert record["attributes"]["type"] == "Lead"
    assert record["LastName"] == "Byron"
    assert later.body == {"searchRecords": []}
    assert short.body[0]["errorCode"] == "MALFORMED_SEARCH"
    assert (odd.status, odd.body[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert field.body[0]["errorCode"] == "INVALID_FIELD"


async def test_order_limit_offset_and_count(leads):
    await leads.make(LastName="Clarke")

    ordered = await leads.query("SELECT LastName FROM Lead ORDER BY LastName DESC LIMIT 2 OFFSET 1")
    by_title = await leads.query(
        "SELECT LastName FROM Lead ORDER BY Title ASC NULLS LAST, LastName"
    )
    count = await leads.query("SELECT COUNT() FROM Lead WHERE Title != null")
    cursor = await leads.query("SELECT LastName FROM Lead ORDER BY SystemModstamp, Id")

    assert names(ordered) == ["Hopper", "Clarke"]
    assert names(by_title) == ["Byron", "Hopper", "Clarke", "O'Neil"]
    assert count.body == {"totalSize": 2, "done": True, "records": []}
    assert names(cursor) == ["Byron", "O'Neil", "Hopper", "Clarke"]


async def test_parents_are_nested_and_missing_parents_null(leads):
    got = await leads.query(
        "SELECT Id, Owner.Name, Owner.Email, ConvertedContact.Email FROM Lead LIMIT 1"
    )
    row = got.body["records"][0]

    assert row["attributes"]["type"] == "Lead"
    assert {name: row["Owner"][name] for name in ("Name", "Email")} == {
        "Name": "Ada Admin",
        "Email": "ada@acme.example",
    }
    assert row["ConvertedContact"] is None


async def test_more_than_a_page_comes_in_pages_that_end(connected):
    await connected.control("/seed", {"leads": 450})
    first = await connected.query(
        "SELECT Id FROM Lead", **{"Sforce-Query-Options": "batchSize=200"}
    )
    pages, ids = [first.body], {each["Id"] for each in first.body["records"]}
    while not pages[-1]["done"]:
        got = await connected.call("GET", pages[-1]["nextRecordsUrl"], base="")
        pages.append(got.body)
        ids |= {each["Id"] for each in got.body["records"]}
    again = pages[0]["nextRecordsUrl"]
    connected.world.ahead += 3 * 86_400
    await connected.connect()
    late = await connected.call("GET", again, base="")

    assert [len(each["records"]) for each in pages] == [200, 200, 50]
    assert [each["totalSize"] for each in pages] == [450] * 3
    assert again.endswith("-200")
    assert len(ids) == 450
    assert (late.status, late.code) == (400, "INVALID_QUERY_LOCATOR")


async def test_pages_belong_to_one_user_and_can_be_dropped(connected):
    await connected.control("/seed", {"leads": 2001})
    await connected.control("/users", {"username": "grace@acme.example"})
    url = (await connected.query("SELECT Id FROM Lead")).body["nextRecordsUrl"]
    own_token = connected.token
    await connected.connect("grace@acme.example")
    hers = await connected.call("GET", url, base="")
    his = await connected.call("GET", url, base="", token=own_token)
    await connected.control("/levers", {"drop_cursors": True})
    dropped = await connected.call("GET", url, base="", token=own_token)

    assert [hers.status, his.status, dropped.status] == [400, 200, 400]


async def test_a_late_stamp_lies_behind_the_clock(connected):
    """3.9: what an overlap is for."""
    await connected.control("/levers", {"stamp_late": 90})
    made = await connected.make()
    stamp = datetime.fromisoformat(
        (await connected.read(made))["SystemModstamp"].replace("+0000", "+00:00")
    )

    behind = datetime.fromtimestamp(connected.world.now(), UTC) - stamp

    assert behind >= timedelta(seconds=90)


async def test_a_write_moves_the_stamp_even_when_nothing_changes(connected):
    made = await connected.make(Title="x")
    before = (await connected.read(made))["SystemModstamp"]
    connected.world.ahead += 5
    await connected.call("PATCH", f"/sobjects/Lead/{made}", {"Title": "x"})

    assert (await connected.read(made))["SystemModstamp"] > before


async def test_deleted_and_merged_leads_are_listed_by_query_all_and_get_deleted(connected):
    """3.11.11."""
    winner, loser, gone, remaining = [await connected.make(LastName=each) for each in "WLGK"]
    await connected.control(f"/records/Lead/{winner}/merge", {"loser": loser})
    await connected.control(f"/records/Lead/{gone}", method="DELETE")
    connected.world.ahead += 60
    query = "SELECT Id, IsDeleted, MasterRecordId FROM Lead WHERE IsDeleted = true"
    live, all_ = await connected.query(query), await connected.query(query, "/queryAll")
    now = datetime.fromtimestamp(connected.world.now(), UTC)
    span = {
        "start": f"{now - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{now + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}",
    }
    sent = {"Authorization": f"Bearer {connected.token}"}
    url = f"{connected.running.url}{DATA}/sobjects/Lead"
    deleted = await connected.send("GET", f"{url}/deleted/", headers=sent, params=span)
    updated = await connected.send("GET", f"{url}/updated/", headers=sent, params=span)
    old = await connected.send(
        "GET", f"{url}/updated", headers=sent, params={**span, "start": "2020-01-01T00:00:00Z"}
    )

    assert live.body["records"] == []
    assert {each["Id"]: each["MasterRecordId"] for each in all_.body["records"]} == {
        loser: winner,
        gone: None,
    }
    assert {each["id"] for each in deleted.body["deletedRecords"]} == {loser, gone}
    assert deleted.body["deletedRecords"][0]["deletedDate"].endswith(".000+0000")
    assert set(updated.body["ids"]) == {winner, remaining}
    assert (old.status, old.code) == (400, "INVALID_REPLICATION_DATE")


async def test_a_converted_lead_is_not_written_and_names_what_it_became(connected):
    """3.11.5."""
    made = await connected.make(Email="ada@x.io")
    became = await connected.control(f"/records/Lead/{made}/convert", {"opportunity": True})

    refused = await connected.call("PATCH", f"/sobjects/Lead/{made}", {"Title": "x"})
    got = await connected.query(
        "SELECT IsConverted, Status, ConvertedContactId, ConvertedContact.Email FROM Lead"
    )
    row = got.body["records"][0]

    assert (refused.status, refused.code) == (400, "CANNOT_UPDATE_CONVERTED_LEAD")
    assert refused.body[0]["message"] == "cannot reference converted lead"
    assert (row["IsConverted"], row["Status"]) == (True, "Closed - Converted")
    assert row["ConvertedContactId"] == became["ConvertedContactId"]
    assert row["ConvertedContact"]["Email"] == "ada@x.io"
    assert became["ConvertedOpportunityId"].startswith("006")


async def test_undeleted_leads_come_back_and_purged_ones_are_unknown(connected):
    back, lost = await connected.make(), await connected.make()
    for each, path in ((back, "undelete"), (lost, "purge")):
        await connected.control(f"/records/Lead/{each}", method="DELETE")
        await connected.control(f"/records/Lead/{each}/{path}")

    assert (await connected.read(back))["IsDeleted"] is False
    assert (await connected.call("GET", f"/sobjects/Lead/{lost}")).code == "NOT_FOUND"


async def test_statuses_users_and_the_organization_can_be_queried(connected):
    statuses = await connected.query(
        "SELECT ApiName, MasterLabel, IsConverted, IsDefault, SortOrder FROM LeadStatus ORDER BY SortOrder"
    )
    users = await connected.query(
        "SELECT Id, Email, IsActive, UserType FROM User WHERE IsActive = true"
    )
    org = await connected.query("SELECT IsSandbox FROM Organization LIMIT 1")

    assert [each["ApiName"] for each in statuses.body["records"]] == [
        "Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted",
    ]  # fmt: skip
    assert [each["IsConverted"] for each in statuses.body["records"]] == [False, False, True, False]
    assert users.body["records"][0]["UserType"] == "Standard"
    assert org.body["records"][0]["IsSandbox"] is False


async def test_a_person_sees_leads_users_and_requests_on_the_page(connected):
    made = await connected.make(LastName="<b>Byron", Email="ada@x.io")
    await connected.control(f"/records/Lead/{made}", method="DELETE")

    page = (await connected.send("GET", connected.running.url + "/")).body

    assert "&lt;b&gt;Byron" in page
    assert "<b>Byron" not in page
    assert [
        part in page for part in (made, "ada@x.io", "ada@acme.example", "/services/oauth2/token")
    ] == [True] * 4


async def test_an_unknown_lever_is_refused_by_name(connected):
    url = connected.running.url + "/_sandbox/levers"

    wrong = await connected.send("POST", url, json={"rtr": False, "rrt": True})

    assert (wrong.status, wrong.body) == (
        400,
        {"error": "A field is missing or wrong: no such lever: rrt"},
    )
    assert (await connected.control("/levers", method="GET"))["rtr"] is True


async def test_a_url_longer_than_sixteen_thousand_bytes_is_too_long(connected):
    """3.6."""
    ids = ",".join(["'00QHs0000000zzz'"] * 1000)

    got = await connected.query(f"SELECT Id FROM Lead WHERE Id IN ({ids})")

    assert got.status == 414
    assert got.headers["Content-Type"].startswith("text/html")
