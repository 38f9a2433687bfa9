"""HubSpot's OpenAPI documents, and what an exchange must look like to agree with them."""

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema

FOLDER = Path(__file__).parents[4] / "shared" / "hubspot-openapi"


@dataclass(frozen=True)
class Deviation:
    """Where the real server differs from its document, by a pattern over schema names."""

    schema: str
    reason: str
    extra: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    any_type: tuple[str, ...] = ()
    documents: str = ".*"


# Each with its reason; one that explains nothing fails the test.
DEVIATIONS = (
    Deviation(
        "Error",
        "the wire carries `status`; limits have errorType, policyName and groupName, and no "
        "category; neither has the 404 of a numeric id nor the 400 of broken JSON",
        extra=("status", "errorType", "policyName", "groupName"),
        optional=("category",),
    ),
    Deviation(
        "Error",
        "the token endpoint speaks RFC 6749 with HubSpot's older fields beside it",
        extra=("error", "error_description"),
        optional=("correlationId",),
        documents="oauth.*",
    ),
    Deviation(
        "TokenInfoResponseBaseIF",
        "the document of 2026-09 predates its release and names one field; 2026-03 names all",
        extra=(
            "app_id",
            "client_id",
            "expires_in",
            "hub_domain",
            "hub_id",
            "scopes",
            "token",
            "is_private_distribution",
            "signed_access_token",
            "token_type",
            "token_use",
            "user",
            "user_id",
        ),
        documents="oauth.2026-09",
    ),
    Deviation(
        "ObjectSchemaEgg|ObjectTypeDefinitionPatch",
        "switches may be left out, as in the guide",
        optional=(
            "allowsSensitiveProperties",
            "clearDescription",
            "shouldCreateSameObjectAssociation",
        ),
    ),
    Deviation(
        r"SimplePublic(Upsert)?Object(WithAssociations)?",
        "a property that was asked for and is not set is null; the document has only strings",
        any_type=("properties",),
    ),
    Deviation(
        "MultiAssociatedObjectWithLabel",
        "v4 answers toObjectId as a number, in every sample of the guide",
        any_type=("toObjectId",),
    ),
    Deviation(
        "LabelsBetweenObjectPair",
        "v4 answers fromObjectId and toObjectId as numbers, in every sample of the guide",
        any_type=("fromObjectId", "toObjectId"),
    ),
    Deviation(
        "AssociationSpecWithLabel|PublicAssociationDefinitionUserConfiguration",
        "an association without a label has label null",
        any_type=("label",),
    ),
    Deviation(
        "StandardError",
        "subCategory is a string on the wire and an object in the document",
        any_type=("subCategory",),
    ),
    Deviation(
        r"SimplePublicObject(Batch)?InputForCreate",
        "associations may be left out",
        optional=("associations",),
    ),
    Deviation(
        "PublicObjectSearchRequest",
        "every field may be left out; sorts may be objects",
        optional=("after", "filterGroups", "limit", "properties", "sorts"),
        any_type=("sorts",),
    ),
    Deviation(
        "BatchReadInput.*",
        "properties, propertiesWithHistory, archived and the like may be left out",
        optional=("properties", "propertiesWithHistory", "archived", "dataSensitivity"),
    ),
    Deviation(
        r"Callback(Batch)?Completion(Batch)?Request",
        "typedOutputs may be left out, as in the guide",
        optional=("typedOutputs",),
    ),
)


@dataclass
class Operation:
    """One operation of one document, whose schemas are read with the deviations `allowed`."""

    document: str
    method: str
    path: str
    spec: dict[str, Any]
    root: dict[str, Any]

    def meets(self, method: str, path: str) -> bool:
        pattern = re.sub(r"\\\{[^/]+?\\\}", "[^/]+", re.escape(self.path))
        return method == self.method and re.fullmatch(pattern, path) is not None

    def problems(
        self, sent: Any, status: int, got: Any, allowed: tuple[Deviation, ...] = DEVIATIONS
    ) -> list[str]:
        """What an exchange has that the document does not allow."""
        found = [*self._request(sent, allowed), *self._answer(status, got, allowed)]
        return [f"{self.document} {self.method} {self.path} {status}: {each}" for each in found]

    def _request(self, sent: Any, allowed: tuple[Deviation, ...]) -> list[str]:
        described = self.spec.get("requestBody", {}).get("content", {}).get("application/json")
        return self._wrong(sent, described["schema"], allowed) if described and sent else []

    def _answer(self, status: int, got: Any, allowed: tuple[Deviation, ...]) -> list[str]:
        responses = self.spec["responses"]
        described = responses.get(str(status))
        if described is None and status >= 400:
            return self._wrong(got, {"$ref": "#/components/schemas/Error"}, allowed)
        if described is None:
            # Documents of 2026-09 predate its release: they have 200 where 2026-03 has 201 and 207.
            early = self.document.endswith(".2026-09") and status in {201, 207}
            is_default = early or set(responses) == {"default"}
            return [] if is_default else ["status is not in the document"]
        for each in described.get("content", {}).values():
            return self._wrong(got, each["schema"], allowed) if "schema" in each else []
        return []

    def _wrong(
        self, value: Any, schema: dict[str, Any], allowed: tuple[Deviation, ...]
    ) -> list[str]:
        names = tuple(each.reason for each in allowed)
        root = _read(self.document, self.root, names)
        validator = jsonschema.Draft202012Validator({**root, **schema})
        errors = validator.iter_errors(value)
        return [f"{error.json_path}: {error.message[:160]}" for error in errors]


_roots: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}


def _read(document: str, root: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    if (document, names) not in _roots:
        allowed = [each for each in DEVIATIONS if each.reason in names]
        _roots[document, names] = _strict(document, root, allowed)
    return _roots[document, names]


def _strict(document: str, root: dict[str, Any], allowed: list[Deviation]) -> dict[str, Any]:
    """The schemas, closed to fields that they do not name, with what deviations allow."""
    schemas = copy.deepcopy(root["components"]["schemas"])
    for name, schema in schemas.items():
        properties = schema.get("properties")
        if not properties:
            continue
        schema.setdefault("additionalProperties", False)
        for each in allowed:
            if re.fullmatch(each.schema, name) and re.fullmatch(each.documents, document):
                properties |= {field: {} for field in (*each.extra, *each.any_type)}
                required = set(schema.get("required", [])) - set(each.optional)
                schema["required"] = sorted(required)
    return {"components": {"schemas": schemas}}


def operations() -> list[Operation]:
    """Every operation of every document."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        root = json.loads(path.read_text())
        for template, methods in root["paths"].items():
            for method, spec in methods.items():
                if method in {"get", "post", "put", "patch", "delete"}:
                    name = path.name.removesuffix(".json")
                    found.append(Operation(name, method.upper(), template, spec, root))
    return found


def matching(every: list[Operation], method: str, path: str) -> list[Operation]:
    """The operation of each document that a request belongs to: the most literal that meets it."""
    best: dict[str, Operation] = {}
    for each in every:
        if not each.meets(method, path):
            continue
        rival = best.get(each.document)
        if rival is None or each.path.count("{") < rival.path.count("{"):
            best[each.document] = each
    return list(best.values())
