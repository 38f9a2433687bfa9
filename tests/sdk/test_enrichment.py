"""Enrichment vendors' clients that others wrote, unchanged, against the sandbox: People Data Labs' own
Python library, pyhunter, FullContact's own, and Clearbit's for Node. No maintained client of Apollo's
was found.
"""

import asyncio

import pytest

from broker.sandbox.enrichment.people import SEED
from broker.sandbox.enrichment.server import serve
from broker.sandbox.enrichment.world import VENDORS, Enrichment
from tests.sdk import node_programs

pytestmark = pytest.mark.filterwarnings("ignore")
ADA = SEED[0].email


@pytest.fixture
async def vendors():
    world = Enrichment()
    for vendor in VENDORS:
        world.add_key(vendor, f"{vendor}-key")
    running = await serve("127.0.0.1", 0, world, seed=True)
    yield running
    await running.close()


async def test_people_data_labs_own_client_finds_misses_and_is_refused(vendors):
    library = pytest.importorskip("peopledatalabs", reason="peopledatalabs is not installed")

    def asks(key="peopledatalabs-key", **parameters):
        base = f"{vendors.url.replace('localhost', '127.0.0.1')}/peopledatalabs/v5"
        answer = library.PDLPY(api_key=key, base_path=base).person.enrichment(**parameters)
        return answer.status_code, answer.json()

    hit = await asyncio.to_thread(asks, email=ADA, min_likelihood=6)
    miss = await asyncio.to_thread(asks, email="nobody@x.example")
    unsure = await asyncio.to_thread(asks, email=SEED[2].email, min_likelihood=6)
    wrong = await asyncio.to_thread(asks, key="x", email=ADA)
    vendors.world.levers.credits = 0
    broke = await asyncio.to_thread(asks, email=ADA)

    assert hit[0] == 200
    assert (hit[1]["likelihood"], hit[1]["data"]["first_name"]) == (9, "ada")
    assert [each[0] for each in (miss, unsure, wrong, broke)] == [404, 404, 401, 402]
    assert miss[1]["error"]["type"] == "not_found"
    assert vendors.world.billed["peopledatalabs"] == [ADA]
    assert "peopledatalabs-key" not in str(vendors.world.seen)


async def test_pyhunter_finds_in_both_formats_and_raises_for_a_miss(vendors):
    library = pytest.importorskip("pyhunter", reason="pyhunter is not installed")
    from pyhunter.exceptions import HunterApiError  # noqa: PLC0415

    hunter = library.PyHunter("hunter-key")
    hunter.base_endpoint = f"{vendors.url}/hunter/v2/{{}}"

    person = await asyncio.to_thread(hunter.email_enrichment, email=ADA)
    combined = await asyncio.to_thread(hunter.combined_enrichment, email=ADA)
    with pytest.raises(HunterApiError):
        await asyncio.to_thread(hunter.combined_enrichment, email="nobody@x.example")

    assert person["name"]["givenName"] == "Ada"
    assert combined["company"]["domain"] == "analytical.example"
    assert [each.status for each in vendors.world.seen] == [200, 200, 404]


async def test_fullcontacts_own_client_finds_misses_and_is_queued(vendors):
    library = pytest.importorskip("fullcontact", reason="python-fullcontact is not installed")
    from fullcontact.api.base.base_api import BaseApi  # noqa: PLC0415

    BaseApi._BASE_URL = f"{vendors.url}/fullcontact/v3/"  # noqa: SLF001  # its only way
    person = library.FullContactClient("fullcontact-key").person

    hit = await asyncio.to_thread(person.enrich, email=ADA)
    miss = await asyncio.to_thread(person.enrich, email="nobody@x.example")
    vendors.world.levers.queued = 1
    queued = await asyncio.to_thread(person.enrich, email=SEED[1].email)

    assert hit.get_status_code() == 200
    assert hit.get_name()["full"] == "Ada Byron"
    assert (miss.get_status_code(), queued.get_status_code()) == (404, 202)


@node_programs.needs("clearbit")
async def test_clearbits_own_client_finds_misses_and_is_queued(vendors):
    walked = await node_programs.run("clearbit.mjs", URL=vendors.url, KEY="clearbit-key")

    assert walked == {
        "person": "Ada Byron",
        "company": "analytical.example",
        "miss": "PersonNotFoundError",
        "queued": "PersonQueuedError",
        "refused": "invalid_api_key",
    }
