"""Client libraries of QuickBooks and Xero, unchanged, through the broker with its key as the token."""

import asyncio
import warnings

import pytest

from tests.flows.providers.conftest import Books
from tests.sdk import node_programs

US = "9341453172058071"
NZ = "fe79f7dd-b6d4-4a92-ba7b-538af6289c58"

pytestmark = pytest.mark.filterwarnings("ignore")


async def test_python_quickbooks_works_with_a_key_of_the_broker(
    start_broker, quickbooks_sandbox, monkeypatch
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("intuitlib", reason="intuit-oauth is not installed")
        judge = pytest.importorskip("quickbooks", reason="python-quickbooks is not installed")
        from intuitlib.client import AuthClient  # noqa: PLC0415  # it may be missing
        from quickbooks.exceptions import AuthorizationException  # noqa: PLC0415
        from quickbooks.objects import Customer  # noqa: PLC0415
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # it insists on https otherwise
    broker = await start_broker(quickbooks_url=quickbooks_sandbox.url)
    await broker.makes_workspace()
    books = Books("quickbooks", quickbooks_sandbox, broker)
    await books.registers(["com.intuit.quickbooks.accounting"])
    await books.connects(US)
    monkeypatch.setattr(judge.QuickBooks, "api_url_v3", f"{broker.url}/proxy/books/u1/v3")

    def client(key):
        discovery = f"{quickbooks_sandbox.url}/.well-known/openid_configuration"
        auth = AuthClient("none", "none", "http://localhost", discovery, access_token=key)
        return judge.QuickBooks(auth_client=auth, company_id=US, minorversion=75)

    def use():
        qb = client(broker.key)
        customer = Customer()
        customer.DisplayName = "O'Neil & Sons"
        made = customer.save(qb=qb)
        books.world.grants.expire_access()  # the library never learns that the token ended
        found = Customer.filter(DisplayName="O'Neil & Sons", qb=qb)
        with pytest.raises(AuthorizationException):
            Customer.all(qb=client("bs_wrong"))
        return made.Id, [each.Id for each in found]

    made, found = await asyncio.to_thread(use)

    assert found == [made]
    assert all("bs_" not in str(seen) for seen in books.world.seen)


@node_programs.needs("node-quickbooks")
async def test_node_quickbooks_works_with_a_key_of_the_broker(start_broker, quickbooks_sandbox):
    broker = await start_broker(quickbooks_url=quickbooks_sandbox.url)
    await broker.makes_workspace()
    books = Books("quickbooks", quickbooks_sandbox, broker)
    await books.registers(["com.intuit.quickbooks.accounting"])
    await books.connects(US)
    books.world.grants.expire_access()

    walked = await node_programs.run(
        "quickbooks_broker.cjs", BASE=f"{broker.url}/proxy/books/u1", KEY=broker.key, REALM=US
    )

    assert walked == {
        "found": [True],
        "company": "O & S",
        "duplicate": "6240",
        "wrongKey": 401,
    }
    assert all("bs_" not in str(seen) for seen in books.world.seen)


async def test_xero_python_works_with_a_key_of_the_broker(start_broker, xero_sandbox):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("xero_python", reason="xero-python is not installed")
        from xero_python.accounting import AccountingApi, Contact, Contacts  # noqa: PLC0415
        from xero_python.api_client import ApiClient  # noqa: PLC0415
        from xero_python.api_client.configuration import Configuration  # noqa: PLC0415
        from xero_python.api_client.oauth2 import OAuth2Token  # noqa: PLC0415
        from xero_python.exceptions import HTTPStatusException  # noqa: PLC0415
    broker = await start_broker(xero_url=xero_sandbox.url)
    await broker.makes_workspace()
    books = Books("xero", xero_sandbox, broker)
    await books.registers(["accounting.contacts", "accounting.settings"])
    await books.connects([NZ])

    def client(key):
        token = {"access_token": key, "expires_in": 1800, "token_type": "Bearer", "scope": []}
        # Constructing it with arguments copies whatever any client in this process made first.
        configuration = Configuration()
        configuration.oauth2_token = OAuth2Token()
        api = ApiClient(configuration, pool_threads=1)
        api.oauth2_token_getter(lambda: token)
        api.oauth2_token_saver(lambda _: None)
        api.set_oauth2_token(token)
        return AccountingApi(api, base_url=f"{broker.url}/proxy/books/u1/api.xro/2.0")

    def use():
        accounting = client(broker.key)
        sent = Contacts(contacts=[Contact(name="Ada Lovelace")])
        made = accounting.create_contacts("whatever the library sends", contacts=sent).contacts[0]
        books.world.grants.expire_access()
        found = accounting.get_contacts("", search_term="Ada").contacts
        with pytest.raises(HTTPStatusException) as refused:
            client("bs_wrong").get_contacts("")
        return made.contact_id, [each.contact_id for each in found], refused.value.status

    made, found, refused = await asyncio.to_thread(use)

    assert found == [made]
    assert refused == 401
    assert all("bs_" not in str(seen) for seen in books.world.seen)
