"""The pages of the sandbox enrichment vendors."""

from broker.sandbox.core.pages import renderer

render = renderer(__file__)
