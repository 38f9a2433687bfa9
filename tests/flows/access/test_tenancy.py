"""Nobody learns anything about anybody else."""

import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

USERS = [
    "u1",
    "U1",
    " u1",
    "u1 ",
    "u/1",
    "u%2F1",
    "u%252F1",
    "\u00fc",
    "u\u0308",
    "\u202eu1",
    "\U0001f600",
    "null",
    "None",
    "[]",
    "u1,u2",
    "'; DROP TABLE connection; --",
    "%",
    "_",
    "\\",
    "..",
    "x" * 255,
]


async def as_other_workspace(broker):
    workspace, issued = await broker.parts.keys.create_workspace("Other")
    broker.secrets.append(issued.client_secret.reveal())
    return workspace, issued.client_secret.reveal()


def a_body(method, operation):
    """What an operation takes, as the document shows it."""
    if method == "get":
        return None
    content = operation.get("requestBody", {}).get("content", {})
    shown = content.get("application/json", {}).get("example")
    return shown or {"userForeignIdentifier": "u1"}  # StackGo's deletion takes one undescribed


async def test_what_another_workspace_owns_looks_like_nothing_at_all(broker):
    """U1."""
    await broker.connects("u1")
    _, key = await as_other_workspace(broker)
    document = (await broker.asks("GET", "/openapi.json", key="")).json()
    walked = 0

    for path, operations in document["paths"].items():
        if "{slug}" not in path or "{workspace}" in path:
            continue
        for method, operation in operations.items():

            async def answer(slug, path=path, method=method, operation=operation):
                filled = path.replace("{slug}", slug).replace("{user}", "u1")
                filled = filled.replace("{target}", "crm/v3/objects/contacts")
                filled = filled.replace("{id}", "6f1c2a52-2a3f-4b8e-9d51-0c6a4f9b7d10")
                body = a_body(method, operation)
                answer = await broker.asks(
                    method.upper(),
                    filled,
                    key=key,
                    json=body,
                    params={"from": "2026-01-01", "to": "2026-01-02"}
                    if path.endswith("{id}/replay") and "endpoints" in path
                    else {"userForeignIdentifier": "u1"}
                    if "get-user/" in path or "auth" in path
                    else None,
                )
                payload = answer.json() if answer.body else {}
                return answer.status, {**payload, "requestId": None}

            theirs, nobodys = await answer("hbdev"), await answer("nope")
            assert theirs == nobodys, f"{method} {path}"
            if method != "head":
                assert theirs[0] == 404, f"{method} {path}: {theirs}"
            walked += 1

    assert walked >= 15


async def test_user_references_are_compared_exactly(broker, hubspot):
    """U3, U4."""
    for user in USERS:
        assert (await broker.connects(user)).status == 200, user

    listed = await broker.asks("GET", "/api/apps/hbdev/connections?limit=500")
    known = [each["userForeignIdentifier"] for each in listed.json()["connections"]]
    assert sorted(known) == sorted(USERS)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(user=st.text(min_size=1, max_size=255))
async def test_any_text_is_a_user_or_a_clear_refusal(broker, user):
    """U3."""
    answer = await broker.asks(
        "GET", "/api/hubspot/auth/hbdev", params={"userForeignIdentifier": user}
    )

    controls = re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", user)
    assert answer.status == (400 if controls else 200)
    if answer.status == 200:
        assert answer.json()["userForeignIdentifier"] == user
        broker.secrets.append(answer.json()["url"].partition("state=")[2].partition("&")[0])


@pytest.mark.parametrize(
    "query",
    [
        "",
        "userForeignIdentifier=",
        "userForeignIdentifier=" + "x" * 256,
        "userForeignIdentifier=a%00b",
        "userForeignIdentifier=a%0Ab",
        "userForeignIdentifier=a&userForeignIdentifier=b",
        "userForeignIdentifier=a&userForeignIdentifier=a",
        "userforeignidentifier=a",
    ],
)
async def test_what_names_no_single_user_is_refused(broker, query):
    """U3."""
    answer = await broker.asks("GET", f"/api/hubspot/auth/hbdev?{query}")

    assert (answer.status, answer.code) == (400, "invalid-request")


@pytest.mark.parametrize(
    "user", ["{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "{", "a}b{c", "{x:y}", "50%{", "/{}/"]
)
async def test_a_user_with_braces_is_one_everywhere(broker, user):
    """F7: such as the GUIDs of other systems."""
    await broker.connects(user)
    where = f"/api/apps/hbdev/connections/{quote(user, safe='')}"

    assert (await broker.proxies(user=user)).status == 200
    shown = await broker.asks("GET", where)
    assert (shown.status, shown.json()["userForeignIdentifier"]) == (200, user)
    assert (await broker.asks("POST", f"{where}/renew")).status == 200
    assert (await broker.asks("DELETE", where)).status == 200
