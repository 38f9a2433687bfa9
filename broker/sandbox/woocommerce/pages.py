"""The pages of the sandbox WooCommerce."""

from broker.sandbox.core.pages import renderer

render = renderer(__file__)
