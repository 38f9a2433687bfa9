"""`/docs`, for people who ask the broker itself."""

import asyncio
import html
import os
import re
import shutil
import sys
from urllib.parse import quote

from broker.web.api.docs import DOCS
from broker.web.api.docs_index import arranged
from broker.web.api.samples import samples


async def test_the_docs_are_served_by_the_broker_they_describe(broker):
    reference = await broker.asks("GET", "/docs", key="")

    text = reference.body.decode()
    document = (await broker.asks("GET", "/openapi.json", key="")).json()
    assert {path for path in document["paths"] if f"<code>{path}</code>" not in text} == set()
    names = re.findall(r'href="/docs/([\w/-]+)"', text)
    assert names[:2] == ["README", "README"]
    assert {"hubspot", "life-of-a-connection", "deploy/README", "upgrading"} <= set(names)
    for name in names:
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


async def test_every_guide_is_in_the_menu_under_what_it_is_for(broker):
    """Decisions and the sandboxes' own pages are reached through others."""
    found = {str(file.relative_to(DOCS).with_suffix("")) for file in DOCS.rglob("*.md")}
    apart = {
        name for name in found if name.split("/")[0] in {"decisions", "sandbox"} and "/" in name
    }

    listed = [name for _, names in arranged(found) for name in names]
    assert sorted(listed) == sorted(found - apart)


async def test_the_docs_are_searched_for_words_codes_and_operations(broker):
    async def links(words):
        page = await broker.asks("GET", f"/docs?q={quote(words)}", key="")
        assert page.status == 200
        return re.findall(r'<h2><a href="(/docs[^"]*)"', page.body.decode())

    assert (await links("origin-refused"))[0] == "/docs/errors#origin-refused"
    assert "/docs/hubspot#3-redirect-url-1-minute" in await links("redirect URL localhost")
    assert any(each.startswith("/docs#") for each in await links("connect sessions"))
    assert (await links("MIGRATE_ON_START"))[0].startswith("/docs/operating#")
    assert await links("no-such-word-anywhere") == []
    everywhere = [each.startswith("/docs/changelog#") for each in await links("rate limit")]
    assert everywhere == sorted(everywhere)
    assert everywhere[-1]
    for link in (await links("connection"))[:30]:
        path, _, anchor = link.partition("#")
        page = await broker.asks("GET", path, key="")
        assert f'id="{anchor}"' in page.body.decode(), link

    hostile = await broker.asks("GET", "/docs?q=%3Cscript%3Ealert(1)%3C/script%3E", key="")
    assert b"<script>alert" not in hostile.body
    assert (await broker.asks("GET", "/docs?q=%20", key="")).status == 200


async def test_the_samples_of_the_reference_work_as_they_stand(broker):
    """Each language makes an app and lists it; what stands in the page is run, with a key."""
    page = (await broker.asks("GET", "/docs", key="")).body.decode()
    document = (await broker.asks("GET", "/openapi.json", key="")).json()
    posts = document["paths"]["/api/apps"]["post"]
    lists = document["paths"]["/api/apps"]["get"]
    ran = []
    for number, (make, show) in enumerate(
        zip(
            samples(broker.url, "POST", "/api/apps", posts),
            samples(broker.url, "GET", "/api/apps", lists),
            strict=True,
        )
    ):
        language, program = make
        assert html.escape(program.split("\n")[-1], quote=True).replace("&#x27;", "&#39;") in page
        if language == "JavaScript" and shutil.which("node") is None:
            continue
        program = program.replace('"crm"', f'"crm{number}"').replace("'crm'", f"'crm{number}'")
        await run(language, program, broker.key)
        ran.append(await run(language, show[1], broker.key))

    apps = (await broker.asks("GET", "/api/apps")).json()["apps"]
    assert len(ran) >= 2
    assert {f"crm{number}" for number in range(len(ran))} <= {each["slug"] for each in apps}


async def run(language, program, key):
    command = {
        "curl": ["bash", "-c", f"{program} --fail-with-body -s"],
        "Python": [sys.executable, "-c", program],
        "JavaScript": ["node", "--input-type=module", "-e", program],
    }[language]
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "KEY": key}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, problems = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, (language, output[-500:], problems[-1500:])
    return output
