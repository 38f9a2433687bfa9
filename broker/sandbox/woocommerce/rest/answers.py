"""WordPress's error bodies, and the refusals that every endpoint shares."""

from typing import Any


class RestError(Exception):
    """A request that WordPress refuses.

    `data` is the body's field of that name, usually the status; where WooCommerce put a bare number
    there, WordPress answers 500 whatever the number is.
    """

    def __init__(self, status: int, code: str, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = {}
        shown = {"status": status} if data is None else data
        self.body = {"code": code, "message": message, "data": shown}


def unauthenticated(message: str) -> RestError:
    """Credentials that do not hold."""
    return RestError(401, "woocommerce_rest_authentication_error", message)


def no_route() -> RestError:
    """A path or a method that does not exist."""
    message = "No route was found matching the URL and request method."
    return RestError(404, "rest_no_route", message)


def invalid_id(kind: str, status: int = 404) -> RestError:
    """A record that does not exist."""
    return RestError(status, f"woocommerce_rest_{kind}_invalid_id", "Invalid ID.")


def unknown_resource() -> RestError:
    """A customer that does not exist."""
    return RestError(404, "woocommerce_rest_invalid_id", "Invalid resource ID.")


def invalid_params(params: dict[str, str], code: str = "rest_invalid_param") -> RestError:
    """The refusal of wrong parameters, each with its error."""
    details = {
        name: {"code": code, "message": message, "data": None} for name, message in params.items()
    }
    return RestError(
        400,
        "rest_invalid_param",
        f"Invalid parameter(s): {', '.join(params)}",
        {"status": 400, "params": params, "details": details},
    )


def missing_params(names: list[str]) -> RestError:
    """Parameters that must be there."""
    return RestError(
        400,
        "rest_missing_callback_param",
        f"Missing parameter(s): {', '.join(names)}",
        {"status": 400, "params": names},
    )
