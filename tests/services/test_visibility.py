"""Who sees what, asked for in every way there is, against plain Python over all rows."""

from collections.abc import Iterator
from typing import Any

from tests.services.conftest import Api
from tests.services.world import Asker, World, peopled

LISTS = {
    "team": "{ teams(first: 100) { nodes { id } totalCount } }",
    "project": "{ projects(first: 100) { nodes { id } totalCount } }",
    "application": "{ applications(first: 100) { nodes { id } totalCount } }",
    "database": "{ databases(first: 100) { nodes { id } totalCount } }",
    "deployment": "{ deployments(first: 100, AFTER) { nodes { id } totalCount pageInfo { endCursor hasNextPage } } }",
}
RELATIONS = """{
    teams(first: 10) { nodes { id memberCount projectCount members(first: 100) { nodes { id user { id } } totalCount }
        projects(first: 100) { nodes { id } totalCount } } }
    projects(first: 10) { nodes { id team { id }
        applications(first: 100) { nodes { id } totalCount }
        databases(first: 100) { nodes { id } totalCount }
        statistics { applicationCount databaseCount deploymentCount } } }
    applications(first: 60) { nodes { id project { id } lastDeployment { id } deploymentCount
        deployments(first: 100) { nodes { id } totalCount } } }
    databases(first: 60) { nodes { id project { id }
        backups(first: 60) { nodes { id } totalCount }
        restores(first: 60) { nodes { id } totalCount } } }
}"""
TITLES = {"backup": "DatabaseBackup", "restore": "DatabaseRestore"}


def ids(rows: list[Any]) -> set[str]:
    return {str(row.id) for row in rows}


def shown(page: Any) -> set[str]:
    found = [each["id"] for each in page["nodes"]]
    assert len(found) == len(set(found))
    return {str(each) for each in found}


async def test_a_list_holds_what_the_caller_may_see(api: Api) -> None:
    world = await peopled(api)
    for caller in world.callers.values():
        ask, wanted = Asker(caller), world.visible(caller)
        for kind, text in LISTS.items():
            found, after, more = set(), "", True
            while more:
                data, errors = await ask(text.replace(", AFTER", after))
                assert errors == []
                (page,) = data.values()
                assert not found or shown(page) - found, "a page brings something new"
                found |= shown(page)
                info = page.get("pageInfo", {"hasNextPage": False})
                more, after = info["hasNextPage"], f', after: "{info.get("endCursor")}"'
            assert found == ids(wanted[kind])
            assert page["totalCount"] == len(wanted[kind])


async def test_a_relation_holds_what_the_caller_may_see(api: Api) -> None:
    world = await peopled(api)
    for caller in world.callers.values():
        wanted = world.visible(caller)
        data, errors = await Asker(caller)(RELATIONS)
        assert errors == []
        for team in data["teams"]["nodes"]:
            people = [row for row in wanted["member"] if str(row.team_id) == str(team["id"])]
            held = [row for row in wanted["project"] if str(row.team_id) == str(team["id"])]
            assert shown(team["members"]) == ids(people)
            assert {str(each["user"]["id"]) for each in team["members"]["nodes"]} == {str(row.user_id) for row in people}
            assert team["memberCount"] == team["members"]["totalCount"] == len(people)
            assert shown(team["projects"]) == ids(held)
            assert team["projectCount"] == team["projects"]["totalCount"] == len(held)
        for project in data["projects"]["nodes"]:
            own = [row for row in wanted["application"] if str(row.project_id) == str(project["id"])]
            team = next(row.team_id for row in world.projects if str(row.id) == str(project["id"]))
            assert shown(project["applications"]) == ids(own)
            assert project["applications"]["totalCount"] == project["statistics"]["applicationCount"] == len(own)
            databases = [row for row in wanted["database"] if str(row.project_id) == str(project["id"])]
            assert shown(project["databases"]) == ids(databases)
            assert project["databases"]["totalCount"] == project["statistics"]["databaseCount"] == len(databases)
            deployments = [row for row in wanted["deployment"] if str(row.project_id) == str(project["id"])]
            assert project["statistics"]["deploymentCount"] == len(deployments)
            assert (project["team"] is not None) == (team in {row.id for row in wanted["team"]})
        for application in data["applications"]["nodes"]:
            deployments = [row for row in wanted["deployment"] if str(row.application_id) == str(application["id"])]
            newest = max((row.id for row in deployments), default=None)
            assert shown(application["deployments"]) == ids(deployments)
            assert application["deployments"]["totalCount"] == application["deploymentCount"] == len(deployments)
            assert (application["lastDeployment"] or {}).get("id") == newest
        for database in data["databases"]["nodes"]:
            for relation, kind in (("backups", "backup"), ("restores", "restore")):
                own = [row for row in wanted[kind] if str(row.database_id) == str(database["id"])]
                assert shown(database[relation]) == ids(own)
                assert database[relation]["totalCount"] == len(own)


def everything(world: World) -> Iterator[tuple[str, str]]:
    for kind, rows in (("Project", world.projects), ("Application", world.applications), ("Deployment", world.deployments)):
        yield from ((kind, str(row.id)) for row in rows)
    for kind, rows in (("Database", world.databases), ("DatabaseBackup", world.backups), ("DatabaseRestore", world.restores)):
        yield from ((kind, str(row.id)) for row in rows)
    yield from (("Team", str(row.id)) for row in world.teams)
    yield from (("User", str(each.id)) for each in world.callers.values())


async def test_an_id_leads_to_a_row_when_the_caller_may_see_it(api: Api) -> None:
    world = await peopled(api)
    known = list(everything(world))
    for caller in world.callers.values():
        wanted = world.visible(caller)
        seen = {TITLES.get(kind, kind.title()): ids(rows) for kind, rows in wanted.items()} | {
            "User": {str(each) for each in world.people(caller)}
        }
        ask = Asker(caller)
        for start in range(0, len(known), 40):
            part = known[start : start + 40]
            fields = " ".join(f'n{number}: node(id: "{id}") {{ __typename }}' for number, (_, id) in enumerate(part))
            data, errors = await ask(f"{{ {fields} }}")
            assert errors == []
            for number, (kind, id) in enumerate(part):
                assert data[f"n{number}"] == ({"__typename": kind} if id in seen[kind] else None), (kind, id)


async def test_a_row_that_may_not_be_seen_is_not_found(api: Api) -> None:
    world = await peopled(api)
    for caller in world.callers.values():
        ask, wanted = Asker(caller), world.visible(caller)
        rows = {"project": world.projects, "application": world.applications[:30], "deployment": world.deployments[:30]}
        rows["database"] = world.databases
        for kind, each in rows.items():
            for row in each:
                data, errors = await ask(f'{{ {kind}(id: "{row.id}") {{ id }} }}')
                if row.id in {one.id for one in wanted[kind]}:
                    assert str(data[kind]["id"]) == str(row.id)
                else:
                    assert [error["extensions"]["code"] for error in errors] == ["RESOURCE_NOT_FOUND"]
