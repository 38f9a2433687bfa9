"""The pages of the sandbox HubSpot."""

from broker.sandbox.core.pages import renderer

render = renderer(__file__)
