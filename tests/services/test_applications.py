"""The chapter Applications, as far as no engine is needed."""

from typing import Any

import pytest

import models
from models.database import database
from tests.services.asking import Transport, ask
from tests.services.conftest import Api

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])
GIT = {"repoUrl": "https://example.com/user/app.git", "branch": "main"}

FULL: dict[str, Any] = {
    "image": "busybox:1",
    "replicas": 2,
    "envVars": [{"key": "PORT", "value": "8080", "isSecret": False}, {"key": "API_TOKEN", "value": "hunter22", "isSecret": True}],
    "ports": [{"containerPort": 8080, "protocol": "tcp"}],
    "volumes": [{"source": "app-data", "target": "/data", "readOnly": False}],
    "healthCheck": {"command": "wget -q -O- http://127.0.0.1:8080/", "interval": 30, "timeout": 10, "retries": 3},
    "resources": {"memoryLimit": 512, "cpuLimit": 0.5},
    "gitSource": GIT | {"buildPath": "./", "dockerfile": "Dockerfile"},
}


async def test_the_specifications_example_is_taken_and_shown_again(api: Api) -> None:
    made = await api.application(**FULL)
    assert set(made) == {"id", "name", "projectId", "serviceName", "status", "createdAt", "_links"}
    assert made["status"] == "pending"
    assert made["_links"] == {"self": f"/api/applications/{made['id']}", "deploy": f"/api/applications/{made['id']}/deploy"}
    body = (await api.owner.get(f"/applications/{made['id']}")).json()
    assert body["envVars"][0] == {"key": "PORT", "value": "8080", "isSecret": False}
    assert body["envVars"][1] == {"key": "API_TOKEN", "value": "***", "isSecret": True}
    (port,) = body["ports"]
    assert port == {"containerPort": 8080, "protocol": "tcp", "publishedPort": port["publishedPort"], "keepAlive": True}
    assert port["publishedPort"] >= 30000
    assert body["stopGracePeriod"] == 10
    assert body["volumes"] == FULL["volumes"]
    assert body["resources"] == FULL["resources"] | {"currentMemory": None, "currentCpu": None, "sampledAt": None}
    assert body["domains"] == []
    assert body["healthCheck"] == FULL["healthCheck"] | {"startPeriod": 0}
    assert body["gitSource"] == FULL["gitSource"] | dict.fromkeys(("provider", "username", "token", "lastCommitSha", "lastSync"))
    assert body["replicas"] == 2


async def test_a_service_name_is_a_dns_label_that_never_changes(api: Api) -> None:
    made = await api.application(name="My-App")
    assert made["serviceName"].startswith("my-app-")
    await api.owner.patch(f"/applications/{made['id']}", {"name": "Other"})
    assert (await api.owner.get(f"/applications/{made['id']}")).json()["serviceName"] == made["serviceName"]


HOSTILE: list[tuple[str, Any]] = [
    ("name", "-dash"),
    ("name", "dash-"),
    ("name", "ab"),
    ("name", "a/b/c"),
    ("image", "--privileged"),
    ("image", "UPPER/case"),
    ("image", "a b"),
    ("image", "$(touch /tmp/x)"),
    ("replicas", -1),
    ("replicas", 101),
    ("replicas", "5"),
    ("replicas", True),
    ("replicas", 1.5),
    ("envVars[0].key", "A=B"),
    ("envVars[0].key", "1A"),
    ("envVars[0].key", ""),
    ("envVars[0].value", "\x00"),
    ("stopGracePeriod", 0),
    ("stopGracePeriod", 301),
    ("ports[0].keepAlive", "yes"),
    ("ports[0].containerPort", 0),
    ("ports[0].containerPort", 65536),
    ("ports[0].protocol", "sctp"),
    ("ports[0].publishedPort", 80),
    ("volumes[0].source", "/etc"),
    ("volumes[0].source", "../up"),
    ("volumes[0].source", "a,driver=local"),
    ("volumes[0].source", "X"),
    ("volumes[0].target", "relative"),
    ("volumes[0].target", "/a/../b"),
    ("volumes[0].target", "/a,source=/etc"),
    ("volumes[0].target", "/a\nb"),
    ("healthCheck.command", "true\nfalse"),
    ("healthCheck.command", ""),
    ("healthCheck.interval", 0),
    ("resources.memoryLimit", 1),
    ("resources.cpuLimit", 0),
    ("gitSource.repoUrl", "file:///etc/passwd"),
    ("gitSource.repoUrl", "--upload-pack=touch /tmp/x"),
    ("gitSource.repoUrl", "ext::sh -c id"),
    ("gitSource.repoUrl", "https://user:password@example.com/a.git"),
    ("gitSource.repoUrl", "https://example.com/a.git\n"),
    ("gitSource.repoUrl", "http://example.com/$(id).git"),
    ("gitSource.branch", "--upload-pack=x"),
    ("gitSource.branch", "a..b"),
    ("gitSource.branch", "a b"),
    ("gitSource.branch", "a~1"),
    ("gitSource.branch", "x.lock"),
    ("gitSource.branch", "@{u}"),
    ("gitSource.buildPath", "../.."),
    ("gitSource.buildPath", "/etc"),
    ("gitSource.dockerfile", "-f"),
    ("gitSource.dockerfile", "a/../../b"),
]


def placed(path: str, value: Any) -> dict[str, Any]:
    """A valid application with one wrong value at a path."""
    body: dict[str, Any] = {**FULL, "name": "fine-name"}
    first, _, rest = path.partition(".")
    key, _, index = first.partition("[")
    if not rest:
        body[key] = value
    elif index:
        body[key] = [{**body[key][0], rest: value}]
    else:
        body[key] = {**body[key], rest: value}
    return body


@pytest.mark.parametrize(("path", "value"), HOSTILE, ids=lambda value: repr(value)[:40])
async def test_a_hostile_value_is_named_and_nothing_is_stored(api: Api, path: str, value: Any) -> None:
    project = await api.project()
    answer = await api.owner.post("/applications", placed(path, value) | {"projectId": project["id"]})
    assert answer.status_code == 400, answer.text
    fields = [each["field"] for each in answer.json()["error"]["details"]["errors"]]
    assert fields == [path] or (value == "\x00" and fields == ["envVars[0]"])
    assert await models.Application.all().count() == 0


async def test_every_problem_is_reported_at_once(api: Api) -> None:
    project = await api.project()
    body = {"name": "My App!", "replicas": 150, "projectId": project["id"], "ports": [{"containerPort": "x"}], "extra": 1}
    answer = await api.owner.post("/applications", body)
    problems = {each["field"]: each for each in answer.json()["error"]["details"]["errors"]}
    assert {field: each["constraint"] for field, each in problems.items()} == {
        "name": "regex",
        "replicas": "range",
        "ports[0].containerPort": "type",
        "extra": "unknown",
    }
    assert problems["replicas"]["message"] == "Replicas must be between 0 and 100"
    assert problems["replicas"]["received"] == 150


@BOTH
async def test_graphql_reports_the_same_problems(api: Api, over: Transport) -> None:
    project = await api.project()
    input = {"name": "My App!", "replicas": 150, "projectId": project["id"], "volumes": [{"source": "/etc", "target": "/x"}]}
    outcome = await ask(over, api.owner, "applications.create", input=input)
    assert outcome.fields == {"name": "regex", "replicas": "range", "volumes[0].source": "regex"}


async def test_a_secret_is_never_echoed_and_never_stored_in_clear(api: Api) -> None:
    project = await api.project()
    body = {"name": "x", "projectId": project["id"], "envVars": [{"key": "9", "value": "hunter22", "isSecret": True}]}
    assert "hunter22" not in (await api.owner.post("/applications", body)).text
    made = await api.application(**FULL)
    rows = await database().execute_query_dict("select * from application where id = $1", [made["id"]])
    assert "hunter22" not in str(rows)
    stored = await models.Application.get(id=made["id"])
    assert stored.env_vars[1]["value"] == "hunter22"


@BOTH
async def test_the_mask_keeps_the_stored_secret(api: Api, over: Transport) -> None:
    made = await api.application(**FULL)

    async def patched(*env: dict[str, Any]) -> str | None:
        return (await ask(over, api.owner, "applications.update", made["id"], {"envVars": list(env)})).code

    assert await patched({"key": "API_TOKEN", "value": "***", "isSecret": True}) is None
    assert (await models.Application.get(id=made["id"])).env_vars == [{"key": "API_TOKEN", "value": "hunter22", "is_secret": True}]
    assert await patched({"key": "API_TOKEN", "value": "***", "isSecret": False}) == "VALIDATION_ERROR"
    assert await patched({"key": "OTHER", "value": "***", "isSecret": True}) == "VALIDATION_ERROR"
    assert await patched({"key": "API_TOKEN", "value": "new one", "isSecret": True}) is None
    assert (await models.Application.get(id=made["id"])).env_vars[0]["value"] == "new one"


@BOTH
async def test_a_secret_may_not_configure_the_docker_client(api: Api, over: Transport) -> None:
    made = await api.application()
    env = [{"key": "DOCKER_HOST", "value": "tcp://elsewhere", "isSecret": True}]
    outcome = await ask(over, api.owner, "applications.update", made["id"], {"envVars": env})
    assert outcome.code == "VALIDATION_ERROR"
    env[0]["isSecret"] = False
    assert (await ask(over, api.owner, "applications.update", made["id"], {"envVars": env})).code is None


async def test_a_patch_replaces_lists_and_clears_with_null(api: Api) -> None:
    made = await api.application(**FULL)
    before = (await api.owner.get(f"/applications/{made['id']}")).json()
    patched = (await api.owner.patch(f"/applications/{made['id']}", {"volumes": [], "healthCheck": None, "resources": None})).json()
    assert (patched["volumes"], patched["healthCheck"]) == ([], None)
    assert set(patched["resources"].values()) == {None}
    assert (patched["ports"], patched["envVars"], patched["gitSource"]) == (before["ports"], before["envVars"], before["gitSource"])


async def test_a_published_port_belongs_to_one_application(api: Api) -> None:
    first = await api.application(ports=[{"containerPort": 80, "publishedPort": 31000}])
    project = await api.project()
    body = {"name": "second", "projectId": project["id"], "ports": [{"containerPort": 80, "publishedPort": 31000}]}
    answer = await api.owner.post("/applications", body)
    assert (answer.status_code, answer.json()["error"]["details"]) == (409, {"reason": "PORT_TAKEN"})
    kept = (await api.owner.patch(f"/applications/{first['id']}", {"ports": [{"containerPort": 80}]})).json()
    assert kept["ports"][0]["publishedPort"] == 31000
    await api.owner.delete(f"/applications/{first['id']}")
    assert (await api.owner.post("/applications", body)).status_code == 201


@BOTH
async def test_twins_in_a_list_are_refused(api: Api, over: Transport) -> None:
    made = await api.application()
    for field, value in {
        "envVars": [{"key": "A", "value": "1"}, {"key": "A", "value": "2"}],
        "ports": [{"containerPort": 80}, {"containerPort": 80}],
        "volumes": [{"source": "aa", "target": "/x"}, {"source": "bb", "target": "/x"}],
    }.items():
        outcome = await ask(over, api.owner, "applications.update", made["id"], {field: value})
        assert outcome.fields == {field: "unique"}


@BOTH
async def test_a_name_is_unique_per_project(api: Api, over: Transport) -> None:
    project = await api.project()
    await api.application(project, name="web")
    outcome = await ask(over, api.owner, "applications.create", input={"name": "web", "projectId": project["id"]})
    assert outcome.details == {"reason": "NAME_TAKEN"}
    other = await api.project()
    assert (await ask(over, api.owner, "applications.create", input={"name": "web", "projectId": other["id"]})).code is None


@BOTH
async def test_a_project_that_does_not_exist_is_422(api: Api, over: Transport) -> None:
    for id in ("01900000-0000-7000-8000-000000000000", "nonsense"):
        outcome = await ask(over, api.owner, "applications.create", input={"name": "web", "projectId": id})
        assert (outcome.code, outcome.details) == ("UNPROCESSABLE_ENTITY", {"field": "projectId"})


async def test_filters_narrow_the_list(api: Api) -> None:
    here, there = await api.project(), await api.project()
    mine = await api.application(here)
    await api.application(there)
    await models.Application.filter(id=mine["id"]).update(status=models.ApplicationStatus.running)
    for query in (f"projectId={here['id']}", "status=running", f"projectId={here['id']}&status=running"):
        body = (await api.owner.get(f"/applications?{query}")).json()
        assert [each["id"] for each in body["data"]] == [mine["id"]]
        assert body["pagination"]["total"] == 1
    unknown = await api.owner.get("/applications?projectId=01900000-0000-7000-8000-000000000000")
    assert unknown.json()["data"] == []
    for query in ("projectId=nonsense", "status=walking"):
        assert (await api.owner.get(f"/applications?{query}")).status_code == 400


@BOTH
async def test_a_deleted_application_is_gone_at_once(api: Api, over: Transport) -> None:
    made = await api.application()
    assert (await ask(over, api.owner, "applications.delete", made["id"])).code is None
    assert (await ask(over, api.owner, "applications.delete", made["id"])).code == "RESOURCE_NOT_FOUND"
    assert (await ask(over, api.owner, "applications.list")).data == []
    row = await models.Application.get(id=made["id"])
    assert row.wished > row.granted


@BOTH
async def test_scaling_stores_the_wish(api: Api, over: Transport) -> None:
    made = await api.application(replicas=3)
    outcome = await ask(over, api.owner, "applications.scale", made["id"], {"replicas": 5})
    assert outcome.data == {"previousReplicas": 3, "currentReplicas": 5, "status": "scaling"}
    assert (await models.Application.get(id=made["id"])).replicas == 5


@BOTH
async def test_what_never_ran_cannot_be_restarted(api: Api, over: Transport) -> None:
    outcome = await ask(over, api.owner, "applications.restart", (await api.application())["id"])
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NOT_RUNNING"})
