"""What people read about WooCommerce."""

from broker.providers.wording import Example, Question, Wording

SCOPES = {
    "read": "See orders, customers, products, coupons and reports",
    "write": "Create orders, customers, products, coupons and webhooks",
    "read_write": "See and change orders, customers, products, coupons and webhooks",
}
"""What a key may do, as the shop's own page puts it (class-wc-auth.php)."""

WORDING = Wording(
    account="shop",
    admin="a person who manages your shop",
    consent="Next, your shop asks whether you agree. You need to be signed in there as "
    "somebody who may manage it.",
    ending="We never see your password, and you can revoke the key at any time in WooCommerce "
    "under Settings, Advanced, REST API.",
    colour="#6b3f8f",
    letters="W",
    scopes=tuple(SCOPES),
    usual_scopes=("read_write",),
    describe_scope=lambda scope: SCOPES.get(scope, scope),
    questions={
        "site": Question(
            "Your shop's address",
            "https://shop.example",
            "As it stands in WordPress under Settings, General, Site Address.",
        )
    },
    examples=(
        Example("GET", "/wp-json/wc/v3/orders?per_page=5"),
        Example("GET", "/wp-json/wc/v3/customers?per_page=5"),
        Example("GET", "/wp-json/wc/v3/system_status"),
    ),
)
