"""The pages of the sandbox Xero."""

from broker.sandbox.core.pages import renderer

render = renderer(__file__)
