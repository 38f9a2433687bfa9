"""Texts of a pattern that are refused in words a person understands."""

import re
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Matches:
    """For `Annotated[str, Matches(pattern, message)]`: the whole text must match."""

    def __init__(self, pattern: str, message: str) -> None:
        self._pattern = re.compile(pattern)
        self._message = message

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^{self._pattern.pattern}$"}

    def _check(self, text: str) -> str:
        if not self._pattern.fullmatch(text):
            raise ValueError(self._message)
        return text
