"""The plan against the oracle: random documents, every kind of caller, the answers equal byte for byte."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

import msgspec
import pytest
from graphql import FieldNode, OperationDefinitionNode, parse, validate
from uuid_utils.compat import uuid7

import models
from gateway import metrics
from gateway.graphql import Asking, Runner, printed
from models.lifecycle import TERMINAL
from schema.context import Caller, Context
from schema.errors import ApiError
from schema.plan.document import Refused
from schema.surface import CHAPTERS, ENTITIES, bind
from tests.oracle import Oracle
from tests.services.conftest import Api
from tests.services.documents import Pool, Writer, Written

START = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """Rows with ties, gaps and oddities, and whoever looks at them."""

    pool: Pool
    callers: list[Caller]


async def made(dice: random.Random, people: list[str]) -> World:
    """Fill the database: several rows share a time, some relations are empty, some rows are deleted, some contradict each other."""
    owner, member, viewer, stranger = (UUID(each) for each in people)
    teams = [await models.Team.create(name=f"Team{n}") for n in range(2)]
    await models.Membership.create(team=teams[0], user_id=member, role=models.TeamRole.admin)
    await models.Membership.create(team=teams[0], user_id=viewer, role=models.TeamRole.viewer)
    await models.Membership.create(team=teams[1], user_id=viewer, role=models.TeamRole.developer)
    projects, applications, deployments = [], [], []
    for n in range(9):
        team = dice.choice([None, *teams])
        who = dice.choice([owner, member, stranger]) if n else stranger
        gone = START if n == 8 else None
        row = await models.Project.create(name=f"P{n}", owner_id=who, team=team, deleted_at=gone)
        await models.Project.filter(id=row.id).update(created_at=START + timedelta(seconds=n // 2))
        projects.append(row)
    for n in range(50):
        project = dice.choice(projects[:-2])
        env = [{"key": f"K{k}", "value": 'ü"', "is_secret": bool(k % 2)} for k in range(dice.randrange(3))]
        row = await models.Application.create(
            name=f"{dice.choice(['app', 'Web', 'a'])}-{n}",
            project=project,
            service_name=f"s{n}",
            env_vars=env,
            status=dice.choice(list(models.ApplicationStatus)),
            image=dice.choice([None, "busybox:1"]),
            git_source=dice.choice([None, {"repo_url": "https://x/y", "branch": "main", "build_path": "./", "dockerfile": "Dockerfile"}]),
            deleted_at=START if n % 11 == 0 else None,
        )
        at = START + timedelta(milliseconds=500 * (n // 4))
        await models.Application.filter(id=row.id).update(created_at=at, updated_at=at)
        applications.append(row)
    for _ in range(140):
        application = dice.choice(applications[:40])
        ends = dice.choice([None, START, START + timedelta(seconds=dice.randrange(3))])
        project = dice.choice(projects) if dice.random() < 0.1 else await application.project
        row = await models.Deployment.create(
            id=uuid7(),
            application=application,
            project=project,
            kind=dice.choice(list(models.DeploymentKind)),
            status=dice.choice(sorted(TERMINAL)),
            snapshot={},
            finished_at=ends,
            started_at=START,
            duration=dice.choice([None, 0, 1, 2]),
            branch=dice.choice([None, "main"]),
            error_code=dice.choice([None, "BUILD_FAILED"]),
            deleted_at=START if dice.random() < 0.1 else None,
        )
        await models.Deployment.filter(id=row.id).update(created_at=START + timedelta(seconds=dice.randrange(5)))
        deployments.append(row)
    ids = {
        "project": [str(row.id) for row in projects],
        "application": [str(row.id) for row in applications],
        "deployment": [str(row.id) for row in deployments],
    }
    ids["node"] = [*ids["project"], *ids["application"][:9], *ids["deployment"][:9], *people, *[str(team.id) for team in teams]]
    times = [(START + timedelta(seconds=n)).isoformat() for n in range(4)]
    member_ = models.GlobalRole.member
    callers = [Caller(owner, models.GlobalRole.owner), Caller(member, member_), Caller(viewer, member_), Caller(stranger, member_)]
    return World(Pool(ids, times=times), callers)


@dataclass
class Tally:
    """What the documents were made of and what became of them."""

    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    fields: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    filled: int = 0

    def add(self, written: Written, outcome: str) -> None:
        self.outcomes[outcome] += 1
        self.kinds.update(list(written.kinds))
        self.fields.append(written.fields)
        self.depths.append(written.depth)

    def __str__(self) -> str:
        total = sum(self.outcomes.values())
        deep = sum(depth >= 5 for depth in self.depths)
        shape = f"median {median(self.fields)} fields, {deep} at depth 5 or more, {self.filled} with rows"
        return f"{total} documents: {dict(self.outcomes)}; {shape}"


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
        assert codes <= {"VALIDATION_ERROR", "RESOURCE_NOT_FOUND"}, (written.text, written.values, error, codes)
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
    dice = random.Random(seed)
    people = [await api.person() for _ in range(3)]
    world = await made(dice, [api.owner.id, *[person.id for person in people]])
    surface = bind(CHAPTERS, ENTITIES)
    runner, oracle, tally = Runner(surface), Oracle(), Tally()
    before = metrics.planned._value.get(), metrics.completed.labels("error")._value.get()
    while sum(tally.outcomes.values()) < number:
        hostile = dice.random() < 0.06
        written = Writer(surface.catalog.schema, world.pool, dice, hostile=hostile).write()
        if len(written.text) > 8000 or written.fields < 6 or validate(oracle.schema, parse(written.text)):
            continue
        outcome, found = await compared(runner, oracle, written, dice.choice([*world.callers, *world.callers[:1] * 3]))
        tally.add(written, outcome)
        tally.filled += rows(found.get("data")) > 1
        world.pool.cursors += list(cursors(found))
        del world.pool.cursors[:-300]
    counted = metrics.planned._value.get() - before[0], metrics.completed.labels("error")._value.get() - before[1]
    assert counted == (tally.outcomes["equal"], tally.outcomes["equal, with errors"])
    return tally


async def test_random_documents_are_answered_as_the_oracle_answers_them(api: Api) -> None:
    tally = await run(api, 300, int(os.environ.get("DOKPLOY_SEED", "1")))
    print(tally)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 9))
async def test_many_more_random_documents(api: Api, seed: int) -> None:
    print(await run(api, 400, seed))
