"""What clients see, kept as files. `DOKPLOY_GOLDEN=write` writes them; read the difference before you commit it."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import openapi_spec_validator
import pytest

from schema.surface import surface
from tests.contract.answers import described
from tests.contract.surface import written

GOLDEN = Path(__file__).parent

WRITERS: dict[str, Callable[[], str]] = {
    "surface.txt": lambda: written(surface()),
    "openapi.json": lambda: json.dumps(described(), indent=2) + "\n",
    "schema.graphql": lambda: surface().schema.as_str() + "\n",
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_golden_file_is_what_the_code_says(name: str) -> None:
    path, text = GOLDEN / name, WRITERS[name]()
    if os.environ.get("DOKPLOY_GOLDEN") == "write":
        path.write_text(text)
    assert path.read_text() == text


def test_the_openapi_document_is_valid() -> None:
    openapi_spec_validator.validate(described())


def test_every_object_of_an_answer_says_what_it_requires_and_allows_nothing_else() -> None:
    def objects(schema: object) -> list[dict[str, object]]:
        if isinstance(schema, list):
            return [found for each in schema for found in objects(each)]
        if not isinstance(schema, dict):
            return []
        own = [schema] if schema.get("type") == "object" and "properties" in schema else []
        return own + [found for each in schema.values() for found in objects(each)]

    schemas = described()["components"]["schemas"]
    found = objects([schema for name, schema in schemas.items() if not name.endswith("Input") and name != "ErrorDetails"])
    assert len(found) > 20
    for each in found:
        assert each["additionalProperties"] is False
        assert each["required"]


def test_a_stream_says_what_the_data_of_its_events_is() -> None:
    answer = described()["paths"]["/api/deployments/{id}/events"]["get"]["responses"]["200"]
    name = answer["content"]["text/event-stream"]["schema"]["contentSchema"]["$ref"].rpartition("/")[2]
    assert "seq" in described()["components"]["schemas"][name]["required"]


def test_a_new_password_is_said_to_take_the_current_one() -> None:
    schema = described()["components"]["schemas"]["UpdateMeInput"]
    assert schema["dependentRequired"] == {"password": ["currentPassword"]}


def test_no_pattern_of_the_document_depends_on_who_reads_it() -> None:
    patterns = re.findall(r'"pattern": (".*?(?<!\\)")', json.dumps(described()))
    assert len(patterns) > 10
    assert not [each for each in patterns if re.search(r"\\\\[sSdDwWbB]", each)]


def test_the_documents_need_no_server() -> None:
    assert "deployApplication" in surface().schema.as_str()
