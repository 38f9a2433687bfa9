"""The query language of the sandbox QuickBooks Online."""

import pytest


async def test_a_query_filters_orders_pages_and_counts(books):
    for n in range(5):
        await books.customer(f"Customer {n}", PrimaryEmailAddr={"Address": f"{n}@x.io"})

    found = await books.find(
        "select DisplayName from Customer where DisplayName LIKE 'Customer%' "
        "AND Id IN ('2', '3', '4') ORDERBY DisplayName DESC STARTPOSITION 2 MAXRESULTS 1"
    )
    assert [each["DisplayName"] for each in found["Customer"]] == ["Customer 2"]
    assert (found["startPosition"], found["maxResults"]) == (2, 1)
    by_mail = await books.find("SELECT * FROM Customer WHERE PrimaryEmailAddr = '3@x.io'")
    assert by_mail["Customer"][0]["DisplayName"] == "Customer 3"
    assert await books.find("SELECT count(*) FROM Customer WHERE Id > '2'") == {"totalCount": 3}
    assert await books.find("SELECT * FROM Customer WHERE DisplayName = 'Nobody'") == {}
    after = await books.find(
        "SELECT * FROM Customer WHERE MetaData.LastUpdatedTime > '2020-01-01T00:00:00-08:00'"
    )
    assert len(after["Customer"]) == 5


@pytest.mark.parametrize("name", ["O'Neil & Sons", "back\\slash", "100% Ltd", "Müller “GmbH”"])
async def test_an_escaped_name_is_found_as_it_is(books, name):
    await books.customer(name)
    literal = name.replace("\\", "\\\\").replace("'", "\\'")
    statement = f"SELECT * FROM Customer WHERE DisplayName = '{literal}'"
    posted = await books.find(statement)
    got = await books.ok("GET", "query", query=statement)
    assert posted == got["QueryResponse"]
    assert posted["Customer"][0]["DisplayName"] == name


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT * FROM Customer WHERE DisplayName = 'O'Neil'", "4000"),
        ("SELECT * FROM Customer WHERE Id = '1' OR Id = '2'", "4000"),
        ("SELECT * FROM Customer GROUP BY Id", "4000"),
        ("SELECT * Customer", "4000"),
        ("SELECT * FROM Customer STARTPOSITION 0", "4000"),
        ("SELECT * FROM Customer WHERE Id != '1'", "4000"),
        ("SELECT * FROM Contact", "4001"),
        ("SELECT * FROM Invoice WHERE PrivateNote = 'x'", "4001"),
        ("SELECT * FROM Customer MAXRESULTS 1001", "4001"),
    ],
)
async def test_a_query_outside_the_language_is_refused(books, statement, code):
    headers = {"Content-Type": "application/text"}
    refused = await books.refused("POST", "query", statement, headers=headers)
    assert refused[0] == code
    if code == "4000":
        assert refused[1].startswith('QueryParserError: Encountered " "')
