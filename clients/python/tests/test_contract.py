"""The fields that the client sends and reads are those of the service's OpenAPI document."""

from __future__ import annotations

import json
import types
import typing
from pathlib import Path
from typing import Any

import pytest

from llm_accounting import _api

SCHEMAS = json.loads((Path(__file__).parents[3] / "openapi.json").read_text())["components"]["schemas"]
VERSION = json.loads((Path(__file__).parents[3] / "package.json").read_text())["version"]

NAMES = {
    _api.InitializeSession: "InitializeSessionDto",
    _api.SessionStarted: "SessionStartedDto",
    _api.Progress: "ProgressDto",
    _api.SessionProgress: "SessionProgressDto",
    _api.FinalizeSession: "FinalizeSessionDto",
    _api.AbortSession: "AbortSessionDto",
    _api.ChargeUsage: "ChargeUsageDto",
    _api.InsufficientCredits: "InsufficientCreditsDto",
}
ANSWERS = (_api.SessionStarted, _api.SessionProgress)
JSON_TYPES = {str: "string", int: "integer", bool: "boolean", dict: "object", list: "array"}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    # A reference that may be null.
    schema = next((each for each in schema.get("oneOf", []) if "$ref" in each), schema)
    while "allOf" in schema:
        schema = SCHEMAS[schema["allOf"][0]["$ref"].rsplit("/", 1)[1]]
    return SCHEMAS[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def assert_fits(field: str, hint: Any, schema: dict[str, Any]) -> None:
    schema = resolved(schema)
    origin = typing.get_origin(hint) or hint
    if origin in (types.UnionType, typing.Union):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
        origin = typing.get_origin(hint) or hint
    if origin is typing.Literal:
        assert set(typing.get_args(hint)) <= set(schema["enum"]), field
    else:
        assert schema["type"] == JSON_TYPES[origin], field


@pytest.mark.parametrize("typed", NAMES, ids=NAMES.get)
def test_has_each_field_with_its_type(typed: Any) -> None:
    properties = SCHEMAS[NAMES[typed]]["properties"]
    for field, hint in typing.get_type_hints(typed).items():
        assert field in properties, f"{NAMES[typed]} has no {field}"
        assert_fits(field, hint, properties[field])


@pytest.mark.parametrize("typed", ANSWERS, ids=NAMES.get)
def test_answers_always_have_what_is_read(typed: Any) -> None:
    assert set(typing.get_type_hints(typed)) <= set(SCHEMAS[NAMES[typed]]["required"])


def test_the_version_is_that_of_the_service() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert f'\nversion = "{VERSION}"\n' in project
