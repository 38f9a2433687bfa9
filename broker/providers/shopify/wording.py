"""What people read about Shopify."""

from broker.providers.wording import Example, Question, Wording

SCOPES = {
    "read_customers": "See customers",
    "write_customers": "Create and change customers",
    "read_orders": "See orders of the last 60 days",
    "read_all_orders": "See all orders, old ones too",
    "write_orders": "Create and change orders",
    "read_products": "See products",
    "write_products": "Create and change products",
    "read_inventory": "See stock",
    "read_fulfillments": "See fulfilments",
    "read_locations": "See locations",
}
"""Access scopes of the Admin API (https://shopify.dev/docs/api/usage/access-scopes)."""

WORDING = Wording(
    account="Shopify store",
    admin="the owner of your Shopify store",
    consent="Next, Shopify asks whether you want to install {product} in your store. You need "
    "permission to install apps there.",
    ending="We never see your Shopify password, and you can uninstall the app at any time in the "
    "settings of your store.",
    colour="#3f6b1f",
    letters="S",
    scopes=tuple(SCOPES),
    usual_scopes=("read_orders", "read_customers"),
    describe_scope=lambda scope: SCOPES.get(scope, scope),
    credentials_from="your app's settings in the Dev Dashboard",
    questions={
        "shop": Question(
            "Your store", "acme.myshopify.com", "The address that ends in .myshopify.com."
        )
    },
    examples=(
        Example(
            "POST",
            "/admin/api/2026-10/graphql.json",
            '{"query": "{ shop { name } orders(first: 5) { nodes { name } } }"}',
        ),
    ),
)
