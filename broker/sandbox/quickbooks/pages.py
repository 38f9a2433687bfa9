"""The pages of the sandbox QuickBooks Online."""

from broker.sandbox.core.pages import renderer

render = renderer(__file__)
