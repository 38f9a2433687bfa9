"""WooCommerce: shops on sites of their own, called with keys that the shop hands over."""
