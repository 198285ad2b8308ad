"""Logs in, makes a project with an application, and prints what it saw as one line of JSON."""

import json
import sys
from typing import TypeVar

from dokploy_client import AuthenticatedClient, Client
from dokploy_client.api.applications import applications_create, applications_delete, applications_get, applications_list
from dokploy_client.api.auth import auth_login
from dokploy_client.api.projects import projects_create, projects_get, projects_list
from dokploy_client.models import (
    ApplicationsListStatusInItem,
    CreateApplicationInput,
    CreateProjectInput,
    Error,
    LoginInput,
    PortInput,
)

A = TypeVar("A")


def got(answer: A | Error | None) -> A:
    if answer is None or isinstance(answer, Error):
        raise SystemExit(f"refused: {answer}")
    return answer


def failed(answer: object) -> Error:
    if not isinstance(answer, Error):
        raise SystemExit(f"not refused: {answer}")
    return answer


url, username, password = sys.argv[1:]
login = got(auth_login.sync(client=Client(base_url=url), body=LoginInput(username, password)))
client = AuthenticatedClient(base_url=url, token=login.token, raise_on_unexpected_status=True)

project = got(projects_create.sync(client=client, body=CreateProjectInput("Python")))
projects = got(projects_list.sync(client=client, search="python", limit=5))
body = CreateApplicationInput("typed", str(project.id), image="nginx:latest", ports=[PortInput(8080)])
made = got(applications_create.sync(client=client, body=body, idempotency_key="python-1"))
application = got(applications_get.sync(made.id, client=client))
wanted = [ApplicationsListStatusInItem.PENDING, ApplicationsListStatusInItem.RUNNING]
applications = got(applications_list.sync(client=client, project_id=project.id, status_in=wanted))
missing = failed(projects_get.sync(made.id, client=client))
refused = failed(projects_create.sync(client=client, body=CreateProjectInput("x")))
deleted = applications_delete.sync_detailed(made.id, client=client)

story = {
    "roles": [role.value for role in login.user.roles],
    "projects": [each.name for each in projects.data],
    "total": projects.pagination.total,
    "application": [application.name, application.image, application.status.value, application.ports[0].container_port],
    "applications": [each.name for each in applications.data],
    "missing": missing.error.code.value,
    "refused": [each.field for each in refused.error.details.errors],
    "deleted": deleted.status_code,
}
sys.stdout.write(json.dumps(story) + "\n")
