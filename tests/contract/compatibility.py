"""What of an earlier OpenAPI document the present one no longer holds: clients that were written against it would break."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

Document = Mapping[str, Any]
Schema = Mapping[str, Any]
JSON = "application/json"


def broken(before: Document, now: Document, today: date) -> list[str]:
    """Sentences, one for each promise that is not kept. What was deprecated may be gone after its sunset."""
    found: list[str] = []
    for path, methods in before["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            other = now["paths"].get(path, {}).get(method)
            if other is None:
                found += [] if _is_over(operation, today) else [f"{name}: gone"]
            else:
                found += [f"{name}: {each}" for each in _operation(_Pair(before, now), operation, other)]
    return found


def _is_over(operation: Document, today: date) -> bool:
    """Whether the description of a deprecated operation names a day that has passed."""
    _, _, after = operation.get("description", "").partition("may be gone from ")
    return bool(operation.get("deprecated")) and date.fromisoformat(after[:10]) <= today


class _Pair:
    """Both documents, each with its own components."""

    def __init__(self, before: Document, now: Document) -> None:
        self._before, self._now = before, now

    def resolved(self, before: Schema, now: Schema) -> tuple[Schema, Schema]:
        return _followed(self._before, before), _followed(self._now, now)


def _followed(document: Document, schema: Schema) -> Schema:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _operation(pair: _Pair, before: Document, now: Document) -> Iterator[str]:
    known = {each["name"]: each for each in (pair.resolved({}, each)[1] for each in now["parameters"])}
    asked = {each["name"] for each in (pair.resolved(each, {})[0] for each in before["parameters"])}
    yield from (f"parameter {name} is gone" for name in sorted(asked - set(known)))
    yield from (f"parameter {name} is required now" for name, each in known.items() if each["required"] and name not in asked)
    sent, taken = _content(before.get("requestBody", {})), _content(now.get("requestBody", {}))
    if sent is not None:
        yield from _taken(pair, sent, taken or {}, "body")
    for status, response in before["responses"].items():
        if status.startswith("2"):
            shown = now["responses"].get(status)
            if shown is None:
                yield f"no longer answers {status}"
            elif (schema := _content(response)) is not None:
                yield from _shown(pair, schema, _content(shown) or {}, "answer")


def _content(part: Document) -> Schema | None:
    schema: Schema | None = part.get("content", {}).get(JSON, {}).get("schema")
    return schema


def _bare(schema: Schema) -> tuple[Schema, bool]:
    """A schema without its null, and whether it had one."""
    options = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return (options[0], True) if len(options) == 1 and len(schema["anyOf"]) == 2 else (schema, False)


def _both(pair: _Pair, before: Schema, now: Schema) -> tuple[Schema, Schema, bool, bool]:
    before, now = pair.resolved(before, now)
    before, was_nullable = _bare(before)
    now, is_nullable = _bare(now)
    return *pair.resolved(before, now), was_nullable, is_nullable


def _shown(pair: _Pair, before: Schema, now: Schema, where: str) -> Iterator[str]:
    """What an answer showed and shows no longer, or in another way."""
    before, now, was_nullable, is_nullable = _both(pair, before, now)
    if is_nullable and not was_nullable:
        yield f"{where} can be null now"
    if before.get("type") != now.get("type"):
        yield f"{where} is no longer {before.get('type')}"
        return
    for name, child in before.get("properties", {}).items():
        if name in now["properties"]:
            yield from _shown(pair, child, now["properties"][name], f"{where}.{name}")
        else:
            yield f"{where}.{name} is gone"
    if "items" in before:
        yield from _shown(pair, before["items"], now["items"], f"{where}[]")


def _taken(pair: _Pair, before: Schema, now: Schema, where: str) -> Iterator[str]:
    """What a body could hold and can no longer, or must hold now."""
    before, now, was_nullable, is_nullable = _both(pair, before, now)
    if was_nullable and not is_nullable:
        yield f"{where} may no longer be null"
    properties = now.get("properties", {})
    for name, child in before.get("properties", {}).items():
        if name in properties:
            yield from _taken(pair, child, properties[name], f"{where}.{name}")
        else:
            yield f"{where}.{name} is no longer taken"
    yield from (f"{where}.{name} is required now" for name in sorted({*now.get("required", ())} - {*before.get("required", ())}))
    yield from (f"{where} may no longer be {value}" for value in before.get("enum", ()) if value not in now.get("enum", [value]))
    if "items" in before:
        yield from _taken(pair, before["items"], now.get("items", {}), f"{where}[]")
