"""The pages of the sandbox First Mile Labs."""

from broker.sandbox.core.pages import renderer

render = renderer(__file__)
