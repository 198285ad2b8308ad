"""The plan against the oracle: random documents, every kind of caller, the answers equal byte for byte."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import msgspec
import pytest
from graphql import FieldNode, OperationDefinitionNode, parse, validate

from gateway import metrics
from gateway.graphql import Asking, Runner, printed
from schema.context import Caller, Context
from schema.documents.refused import Refused
from schema.errors import ApiError
from schema.surface import CHAPTERS, ENTITIES, bind
from tests.oracle import Oracle
from tests.services.conftest import Api
from tests.services.documents import Pool, Writer, Written
from tests.services.kinds import KINDS
from tests.services.world import TIMES, World, made

FEWEST_FIELDS, SHARE_DEEP, SHARE_FILLED, FEWEST_OF_A_KIND = 15, 0.25, 0.8, 50
"""What the documents of a run must hold: fields in the median, at depth 5, with rows in the answer, and of each kind."""


@dataclass
class Tally:
    """What the documents were made of and what became of them."""

    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    fields: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    filled: int = 0

    def add(self, written: Written, outcome: str, found: dict[str, Any]) -> None:
        """Count a document."""
        self.outcomes[outcome] += 1
        self.kinds.update(written.kinds)
        self.fields.append(written.fields)
        self.depths.append(written.depth)
        self.filled += rows(found.get("data")) > 1

    @property
    def total(self) -> int:
        """How many documents there were."""
        return len(self.fields)

    def suffices(self) -> None:
        """See that the documents are worth something."""
        assert median(self.fields) >= FEWEST_FIELDS
        assert sum(depth >= 5 for depth in self.depths) >= SHARE_DEEP * self.total
        assert self.filled >= SHARE_FILLED * self.total
        assert not {kind: self.kinds[kind] for kind in KINDS if self.kinds[kind] < FEWEST_OF_A_KIND}

    def __str__(self) -> str:
        deep = sum(depth >= 5 for depth in self.depths)
        shape = f"median {median(self.fields)} fields, {deep} at depth 5 or more, {self.filled} with rows"
        covered = ", ".join(f"{kind} {self.kinds[kind]}" for kind in KINDS)
        return f"{self.total} documents: {dict(self.outcomes)}; {shape}; {covered}"


def cursors(data: Any) -> Iterator[str]:
    """The cursors of an answer, for later documents."""
    for value in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        if isinstance(value, str) and value.startswith("eyJvZiI6"):
            yield value
        else:
            yield from cursors(value)


def rows(data: Any) -> int:
    """How many objects with something in them an answer holds."""
    if isinstance(data, dict):
        return sum(rows(value) for value in data.values()) + any(not isinstance(value, dict | list | None) for value in data.values())
    return sum(rows(value) for value in data) if isinstance(data, list) else 0


def alone(text: str, key: str) -> str:
    """A document with one of its root fields only; the others are blanked, so that everything stays where it was."""
    operation = parse(text).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    for each in operation.selection_set.selections:
        if isinstance(each, FieldNode) and (each.alias or each.name).value != key and each.loc:
            start, end = each.loc.start, each.loc.end
            text = text[:start] + " " * (end - start) + text[end:]
    return text


def codes_of(errors: list[dict[str, Any]]) -> set[str]:
    """The codes of errors."""
    return {each["extensions"]["code"] for each in errors}


async def compared(runner: Runner, oracle: Oracle, written: Written, caller: Caller) -> tuple[str, dict[str, Any]]:
    """Run a document both ways; how they compare, and the plan's answer."""
    asking = Asking(written.text, written.values)
    context = Context(caller)
    try:
        found = await runner.run(runner.prepared(asking, context), asking, context)
    except (Refused, ApiError) as error:
        expected = printed(await oracle.execute(written.text, written.values, Context(caller)), "")
        codes = {each["extensions"]["code"] for each in expected.get("errors", [])}
        # A null that the oracle finds where none may be takes what is refused below it away.
        assert codes <= {"VALIDATION_ERROR", "RESOURCE_NOT_FOUND", "INTERNAL_SERVER_ERROR"}, (written.text, written.values, error, codes)
        return ("refused by both" if "VALIDATION_ERROR" in codes else "refused where nothing would have been reached"), {}
    expected = printed(await oracle.execute(written.text, written.values, Context(caller)), "")
    told, wanted = found.pop("errors", []), expected.pop("errors", [])
    if expected["data"] is None and told and told[0]["path"][0] != wanted[0]["path"][0]:
        # Of several non-null fields of the root that fail, an executor reports whichever fails first: ask for ours alone.
        wanted = printed(await oracle.execute(alone(written.text, told[0]["path"][0]), written.values, Context(caller)), "")["errors"]
    assert msgspec.json.encode(found).decode() == msgspec.json.encode(expected).decode(), (written.text, written.values, caller)
    assert codes_of(told) == codes_of(wanted), (written.text, written.values, caller)
    if len(told) == len(wanted) == 1 and told[0]["path"] == wanted[0]["path"]:
        assert told == wanted
    return ("equal, with errors" if told else "equal"), found


async def run(api: Api, number: int, seed: int) -> Tally:
    """Write documents and compare their answers."""
    dice = random.Random(seed)
    world = await made(dice, api.owner.id, *[(await api.person()).id for _ in range(3)])
    surface = bind(CHAPTERS, ENTITIES)
    runner, oracle, tally = Runner(surface), Oracle(), Tally()
    pools = {name: pool_of(world, caller) for name, caller in world.callers.items()}
    before = metrics.planned._value.get(), metrics.completed.labels("error")._value.get()
    while tally.total < number:
        name = dice.choice(["owner", *world.callers])
        written = Writer(surface.catalog, pools[name], dice, hostile=dice.random() < 0.03, operator=name == "owner").write()
        if len(written.text) > 8000 or written.fields < 6 or validate(oracle.schema, parse(written.text)):
            continue
        outcome, found = await compared(runner, oracle, written, world.callers[name])
        tally.add(written, outcome, found)
        for cursor in cursors(found):
            pools[name].keep(cursor)
    counted = metrics.planned._value.get() - before[0], metrics.completed.labels("error")._value.get() - before[1]
    assert counted == (tally.outcomes["equal"], tally.outcomes["equal, with errors"])
    return tally


def pool_of(world: World, caller: Caller) -> Pool:
    """Mostly what a caller may see, and now and then something else."""
    found = {kind: [str(row.id) for row in each] for kind, each in world.visible(caller).items()}
    for kind in ("backup", "restore"):
        found[kind] = [str(row.id) for row in world.visible(caller)[kind] if str(row.database_id) in found["database"]]
    found["node"] = [each for kind in ("project", "team") for each in found[kind]] + [str(each) for each in world.people(caller)]
    found["resource"] = found["node"]
    found["user"] = [str(each) for each in world.people(caller)]
    nodes = ("member", "application", "deployment", "database", "backup", "restore", "alert", "notificationChannel", "notification")
    found["node"] += [each for kind in nodes for each in found[kind][:9]]
    strays = {
        "team": world.teams,
        "project": world.projects,
        "application": world.applications,
        "deployment": world.deployments,
        "database": world.databases,
        "backup": world.backups,
        "restore": world.restores,
        "alert": world.alerts,
        "notificationChannel": world.channels,
        "notification": world.notifications,
        "node": world.teams,
    }
    for kind, each in strays.items():
        found[kind] = found[kind] * (1 + len(each) * 25 // max(1, len(found[kind]))) + [str(row.id) for row in each]
    found["channel"] = found["notificationChannel"]
    return Pool(found, TIMES, {str(row.id): str(row.database_id) for row in (*world.backups, *world.restores)})


async def test_random_documents_are_answered_as_the_oracle_answers_them(api: Api) -> None:
    tally = await run(api, 300, int(os.environ.get("DOKPLOY_SEED", "1")))
    print(tally)
    tally.suffices()


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 9))
async def test_many_more_random_documents(api: Api, seed: int) -> None:
    tally = await run(api, 400, seed)
    print(tally)
    tally.suffices()
