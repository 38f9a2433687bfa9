"""Calls of a recipe to the system beside HubSpot: as the same user, in one account."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from broker.errors import ConnectionNotFound, NotAllowed, OtherAccount
from tests.flows.providers.shops import ACME, GRAPHQL, NAME, OTHER


@pytest.fixture
async def partners(shops):
    """The calls of recipes, with u1 connected to the shop acme."""
    await shops.connects()
    return shops.broker.parts.recipes.partners


def of(shops, slug="shop", user="u1"):
    return UUID(shops.broker.workspace), slug, user


async def test_a_recipe_calls_the_partner_as_its_user_and_is_logged(shops, partners):
    user = await partners.user(*of(shops))
    answer = await partners.send(user, "POST", GRAPHQL, NAME)
    numbers = await partners.send(
        user, "POST", GRAPHQL, {**NAME, "variables": {"n": Decimal("1.1")}}
    )
    await shops.broker.parts.call_log.flush()
    calls = await shops.broker.asks("GET", "/api/apps/shop/calls")

    assert (user.provider, user.account_id) == ("shopify", ACME)
    assert answer.payload["data"]["shop"]["myshopifyDomain"] == ACME
    assert isinstance(
        answer.payload["extensions"]["cost"]["throttleStatus"]["restoreRate"], Decimal
    )
    assert (answer.status, numbers.status) == (200, 200)
    assert len(calls.json()["calls"]) == 2


async def test_a_partner_is_not_called_without_connection_in_another_account_or_beyond_reading(
    shops, partners
):
    user = await partners.user(*of(shops))

    with pytest.raises(ConnectionNotFound):
        await partners.user(*of(shops, user="u2"))
    with pytest.raises(OtherAccount, match="another Shopify account than other"):
        await partners.send(replace(user, account_id=OTHER), "POST", GRAPHQL, NAME)
    with pytest.raises(NotAllowed):
        await partners.read(user, "POST", GRAPHQL, NAME)
