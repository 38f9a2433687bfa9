"""How the fields of requests explain themselves."""

from broker.bootstrap import routes  # noqa: F401  # loads every request's model
from broker.web.core.requests import RequestModel


def test_no_field_of_a_request_is_explained_by_a_regular_expression():
    """Whoever reads it need not be a programmer: `Matches` takes words beside the pattern."""

    def patterns(schema):
        if isinstance(schema, dict):
            if schema.get("type") == "str" and schema.get("pattern"):
                yield schema["pattern"]
            for each in schema.values():
                yield from patterns(each)
        elif isinstance(schema, list | tuple):
            for each in schema:
                yield from patterns(each)

    def models(above):
        for model in above.__subclasses__():
            yield model
            yield from models(model)

    known = [each for each in models(RequestModel) if each.__module__.startswith("broker.")]
    bare = {
        f"{each.__name__}: {pattern}"
        for each in known
        for pattern in patterns(each.__pydantic_core_schema__)
    }

    assert len(known) > 30
    assert not bare
