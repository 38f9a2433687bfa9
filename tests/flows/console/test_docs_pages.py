"""`/docs`, for people who ask the broker itself."""

import re


async def test_the_docs_are_served_by_the_broker_they_describe(broker):
    reference = await broker.asks("GET", "/docs", key="")

    text = reference.body.decode()
    document = (await broker.asks("GET", "/openapi.json", key="")).json()
    assert {path for path in document["paths"] if f"<code>{path}</code>" not in text} == set()
    for name in re.findall(r'href="/docs/([a-z-]+)"', text):
        page = await broker.asks("GET", f"/docs/{name}", key="")
        assert page.status == 200, name
        assert b"<h1" in page.body
        links = re.findall(r'href="(/docs/[^"#]+)', page.body.decode())
        for link in set(links):
            assert (await broker.asks("GET", link, key="")).status == 200, link
        assert b'href="#"' not in page.body, name
        assert b"<img" not in page.body, name


async def test_a_problem_leads_to_its_explanation(broker):
    problem = (await broker.asks("GET", "/api/apps/nope")).json()

    where, _, anchor = problem["type"].partition("#")
    page = await broker.asks("GET", where, key="")

    assert f'<h2 id="{anchor}">' in page.body.decode()


async def test_nothing_else_is_served(broker):
    for name in [
        "nothing",
        "../README",
        "..%2FREADME",
        "decisions/../../README",
        "examples/backend.py",
    ]:
        assert (await broker.asks("GET", f"/docs/{name}", key="")).status in {400, 404}, name


async def test_a_guide_in_a_folder_links_to_the_guides_above_it(broker):
    page = await broker.asks("GET", "/docs/sandbox/fml", key="")

    assert 'href="/docs/recipes"' in page.body.decode()
    assert 'href="/docs/sandbox#what-all-of-them-share"' in page.body.decode()
