"""The summary of an operation that each recipe has, in the recipe's own words."""

from collections.abc import Callable
from typing import Any, TypeVar

TAGS = ("Recipes",)

F = TypeVar("F", bound=Callable[..., Any])


def summary(text: str, description: str = "") -> Callable[[F], F]:
    """Give a handler its docstring, of which the OpenAPI document is made."""

    def decorate(function: F) -> F:
        function.__doc__ = f"{text}\n\n{description}" if description else text
        return function

    return decorate
