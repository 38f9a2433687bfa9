"""PUT and POST of elements: all or nothing, or each by itself with `summarizeErrors=false`."""

from typing import Any

from broker.sandbox.core.decimals import loads
from broker.sandbox.xero.api.problems import Invalid, errors, post_data, validation
from broker.sandbox.xero.books.organisation import Organisation, Record
from broker.sandbox.xero.books.resources import Resource

NO_ID = "00000000-0000-0000-0000-000000000000"


def elements_of(raw: bytes, resource: Resource, content_type: str) -> list[Record]:
    """The elements that a body holds: under their plural, as a list, or one by itself."""
    if content_type != "application/json":
        raise post_data(f"The content type '{content_type}' is not supported here; send JSON.")
    try:
        read = loads(raw)
    except ValueError:
        raise post_data("JSON for post data was invalid") from None
    if isinstance(read, dict):
        read = read.get(resource.plural, [read])
    if not isinstance(read, list) or not all(isinstance(each, dict) for each in read):
        raise post_data("JSON for post data was invalid")
    return read


def save_all(
    organisation: Organisation,
    resource: Resource,
    elements: list[Record],
    *,
    creates_only: bool,
    summarizes: bool,
    places: int,
) -> list[Record]:
    """Save elements; how each is shown. When errors are summarized one that is invalid keeps all
    from being saved, and a 400 is raised. `creates_only` is PUT: what exists is not overwritten.
    """
    before = organisation.snapshot()
    answers: list[Record] = []
    failed: list[Record] = []
    for element in elements:
        try:
            saved = _save(organisation, resource, element, places, creates_only=creates_only)
        except Invalid as invalid:
            refused = _refused(resource, element, invalid)
            failed.append(refused)
            answers.append({**refused, "StatusAttributeString": "ERROR", "HasErrors": True})
        else:
            shown = resource.shown(saved, full=True)
            answers.append(shown if summarizes else {**shown, "StatusAttributeString": "OK"})
    if failed and summarizes:
        organisation.restore(before)
        raise validation(failed)
    organisation.publish()
    return answers


def _save(
    organisation: Organisation,
    resource: Resource,
    element: Record,
    places: int,
    *,
    creates_only: bool,
) -> Record:
    assert resource.find is not None  # noqa: S101  # only writable kinds come here
    assert resource.save is not None  # noqa: S101
    old = resource.find(organisation, element)
    if creates_only and not element.get(resource.key):
        # The uniqueness of names and numbers refuses what is there already.
        old = None
    return resource.save(organisation, element, old, places)


def _refused(resource: Resource, element: Record, invalid: Invalid) -> dict[str, Any]:
    return {
        resource.key: NO_ID,
        **element,
        "HasValidationErrors": True,
        "ValidationErrors": errors(invalid),
    }
