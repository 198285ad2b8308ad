"""The matrix: what becomes of each actor of DECISIONS 15 at each route, over HTTP and GraphQL, as it was observed.

`tests/contract/permissions.txt` holds it; `DOKPLOY_GOLDEN=write` writes it anew.
"""

import asyncio
import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import msgspec
import pytest

from gateway.graphql import Asking, Runner
from schema import errors
from schema.context import Context
from schema.documents.refused import Refused
from schema.errors import ApiError
from schema.surface import PREFIX, Bound, surface
from schema.tokens import caller_of
from tests.contract.answers import described
from tests.services import asking
from tests.services.acts import ACTS, EMPTIED, Act
from tests.services.conftest import Api, Person
from tests.services.place import ACTORS, Cast, Place, cast
from tests.services.rules import OK, rule_of

GOLDEN = Path(__file__).parents[1] / "contract" / "permissions.txt"
STATUSES = {each.code: each.status for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ApiError)}
ENDLESS = {"applications.events", "resource_alerts.alerts"}
"""Streams that end with the right to see them, and never by themselves."""
NODE = "query ($id: ID!) { node(id: $id) { id } }"


async def prepared(cast: Cast, operation: str) -> Place:
    """A place in which the operation can be done."""
    place = await cast.place()
    owner = await cast.actor("global owner")
    for path in EMPTIED.get(operation, ()):
        assert (await owner.delete(path.format(place=place))).status_code == 204
    return place


async def over_rest(found: Bound, act: Act, place: Place, person: Person) -> int:
    operation = found.operation
    path = operation.path.format(**dict(zip(operation.ids, [getattr(place, name) for name in act.ids], strict=True)))
    method, arguments = operation.method, dict(act.arguments)
    if operation.kind == "subscription":
        method = "GET"
    body: dict[str, Any] = {"json": act.input(place, person) if act.input else None}
    if operation.uploads:
        body = {"content": act.content, "headers": {"Content-Type": "application/octet-stream"}}
    if operation.follows is not None or operation.id in ENDLESS:  # nothing but whether it begins
        method, body = "HEAD", {"headers": {"Accept": "text/event-stream"}}
        arguments |= {"follow": "true"} if operation.follows is not None else {}
        answer = await person.call(method, path, **body, params=arguments)
        return answer.status_code
    answer = await person.call(method, path, **body, params=arguments)
    if answer.status_code < 300:
        assert answer.status_code == operation.status
        check(found, answer)
    else:
        assert answer.json()["error"]["code"] in STATUSES
    return answer.status_code


def check(found: Bound, answer: httpx2.Response) -> None:
    """The answer is what the OpenAPI document says."""
    operation = found.operation
    method = "get" if operation.kind == "subscription" else operation.method.lower()
    described = DOCUMENT["paths"][PREFIX + operation.path][method]["responses"][str(operation.status)]
    schema = described.get("content", {}).get("application/json", {}).get("schema")
    if schema is not None:
        jsonschema.validate(answer.json(), schema | {"components": DOCUMENT["components"]}, jsonschema.Draft202012Validator)
    elif operation.downloads:
        assert answer.content
    elif operation.kind == "subscription":
        assert answer.text.startswith("id: " if operation.resumes else "data: ")
    else:
        assert answer.content == b""


DOCUMENT = described()


async def over_graphql(found: Bound, act: Act, place: Place, person: Person) -> int:
    given: dict[str, Any] = dict(zip(found.operation.row_arguments, [getattr(place, name) for name in act.ids], strict=True))
    if act.input is not None:
        given["input"] = act.input(place, person)
    given |= act.arguments
    text = asking.document(found, given)
    if found.operation.kind == "subscription":
        return await followed(text, given, person)
    return status_of(found, await person.graphql(text, **given))


async def followed(text: str, given: dict[str, Any], person: Person) -> int:
    """What becomes of a subscription; over which socket it comes makes no difference."""
    context = Context()
    if person.token:
        context.user, context.session_id = await caller_of(person.token)
    try:
        runner, asking = Runner(surface()), Asking(text, given)
        async with asyncio.timeout(10), aclosing(runner.results(runner.prepared(asking, context), asking, context)) as results:
            answer = msgspec.json.decode(msgspec.json.encode(await anext(results)))
    except ApiError as error:
        return error.status
    except Refused as error:
        return STATUSES[(error.errors[0].extensions or {})["code"]]
    assert "errors" not in answer
    return OK


def status_of(found: Bound, body: dict[str, Any]) -> int:
    if "errors" in body:
        (error,) = body["errors"]
        return STATUSES[error["extensions"]["code"]]
    assert body["data"]["answer"] is not None
    return found.operation.status


async def observed(api: Api) -> dict[str, dict[str, tuple[int, int]]]:
    """The status of each actor at each operation, over REST and over GraphQL."""
    people = await cast(api)
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for each in surface().operations:
        id = each.operation.id
        assert id in ACTS, f"the matrix does not know {id}: say in tests/services/acts.py how it is asked for"
        found[id] = {}
        place = await prepared(people, id)
        for name in ACTORS:
            statuses = []
            for over in (over_rest,) if each.operation.carries_file else (over_rest, over_graphql):
                statuses.append(await over(each, ACTS[id], place, await people.actor(name)))
                if statuses[-1] < 300 and each.operation.kind == "mutation":
                    place = await prepared(people, id)
            found[id][name] = (statuses[0], statuses[-1])
    return found


async def nodes(api: Api) -> dict[str, dict[str, str]]:
    """Who is shown what by its id alone."""
    people = await cast(api)
    place = await people.place()
    found: dict[str, dict[str, str]] = {}
    for kind in ("team", "project", "application", "deployment", "database", "backup", "restore", "member"):
        found[f"node({kind})"] = {}
        for name in ACTORS:
            body = await (await people.actor(name)).graphql(NODE, id=getattr(place, kind))
            told = body["errors"][0]["extensions"]["code"] if "errors" in body else body["data"]["node"] and "shown"
            found[f"node({kind})"][name] = {"UNAUTHORIZED": "401", "shown": "shown", None: "null"}[told]
    return found


def cell(rest: int, graphql: int) -> str:
    """One number where REST and GraphQL agree."""
    return str(rest) if rest == graphql else f"{rest}|{graphql}"


def written(matrix: dict[str, dict[str, tuple[int, int]]], shown: dict[str, dict[str, str]]) -> str:
    """The matrix as text."""
    cells = {
        id: {name: str(rest) if rest == graphql else f"{rest}|{graphql}" for name, (rest, graphql) in row.items()}
        for id, row in matrix.items()
    }
    lines = [f"{'':36}" + "".join(f"{name:15}" for name in ACTORS)]
    lines += [f"{id:36}" + "".join(f"{row[name]:15}" for name in ACTORS) for id, row in (cells | shown).items()]
    return "\n".join(line.rstrip() for line in lines) + "\n"


async def test_the_matrix_is_what_was_observed_and_what_the_decisions_say(api: Api) -> None:
    matrix = await observed(api)
    text = written(matrix, await nodes(api))
    if os.environ.get("DOKPLOY_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
    differing = {
        f"{id} as {name}": (seen, rule_of(id)[name])
        for id, row in matrix.items()
        for name, statuses in row.items()
        for seen in statuses
        if (OK if seen < 300 else seen) != rule_of(id)[name]
    }
    assert differing == {}


def test_a_route_that_the_matrix_does_not_know_fails() -> None:
    known = {each.operation.id for each in surface().operations}
    assert known == set(ACTS)
    assert all(rule_of(id) for id in known)
    with pytest.raises(KeyError):
        rule_of("applications.explode")
