"""The pages of the sandbox Shopify."""

from broker.sandbox.core.pages import renderer

render = renderer(__file__)
