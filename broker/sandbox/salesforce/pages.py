"""The pages of the sandbox Salesforce."""

from broker.sandbox.core.pages import renderer

render = renderer(__file__)
