"""compose.yml and the Dockerfile against the project: what they run, set, mount and copy exists and is pinned."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli import app
from models.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yml").read_text()
HEAD = TEXT[: TEXT.index("\nname:")]
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("dokploy:")}
LASTING = {name: service for name, service in SERVICES.items() if name != "migrate"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

SOCKET = "/var/run/docker.sock"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[?-])(?P<rest>[^}]*))?\}")
PINNED = re.compile(r"[a-z][a-z/-]*:(?=.*\d)(?!latest)[\w.-]+")
GIVEN = {
    "POSTGRES_PASSWORD": "0123456789abcdef",
    "DOKPLOY_SECRET_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "DOKPLOY_TOKEN_KEY": "0123456789abcdef0123456789abcdef",
    "DOCKER_GID": "999",
}


def filled(text: str) -> str:
    """A value with its variables replaced, as compose does when only the required ones are set."""
    return VARIABLE.sub(lambda found: GIVEN.get(found["name"]) or (found["rest"] if found["kind"] == "-" else ""), text)


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, without comments, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


DOCKERFILE = instructions((ROOT / "Dockerfile").read_text())
STAGES = [index for index, (word, _) in enumerate(DOCKERFILE) if word == "FROM"]
FINAL = DOCKERFILE[STAGES[-1] :]


def test_services() -> None:
    assert set(SERVICES) == {"gateway", "worker", "migrate", "edge", "monitor", "postgres", "valkey"}
    assert set(OURS) == {"gateway", "worker", "edge", "monitor", "migrate"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_command_is_one_of_ours(name: str) -> None:
    command = OURS[name]["command"]
    assert command[0] == name
    function, bound, _ = app.parse_args(command, exit_on_error=False, print_error=False)
    assert function.__module__ == "gateway.cli" and function.__name__ == name
    if name == "gateway":
        assert bound.arguments == {"host": "0.0.0.0", "port": 8000}


@pytest.mark.parametrize("name", sorted(LASTING))
def test_lasting_service_is_watched_and_restarted(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["stop_grace_period"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_limits(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert SERVICES[name]["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_image_is_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


def test_our_image_carries_the_version_of_the_project() -> None:
    assert {service["image"] for service in OURS.values()} == {f"dokploy:{PROJECT['version']}"}
    assert [name for name, service in SERVICES.items() if "build" in service] == ["migrate"]


def test_migrate_runs_once_and_the_others_wait_for_it() -> None:
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("gateway", "worker", "edge"):
        assert SERVICES[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "postgres": {"condition": "service_healthy"},
            "valkey": {"condition": "service_healthy"},
        }
    asked = {name: needed for name, needed in SERVICES["gateway"]["depends_on"].items() if name != "valkey"}
    assert SERVICES["monitor"]["depends_on"] == asked


def test_only_the_worker_the_edge_and_the_monitor_reach_the_engine() -> None:
    holders = {name for name, service in SERVICES.items() if any("docker.sock" in str(mount) for mount in service.get("volumes", []))}
    assert holders == {"worker", "edge", "monitor"}
    assert all(f"{SOCKET}:{SOCKET}" in SERVICES[name]["volumes"] for name in holders)
    assert {name for name, service in SERVICES.items() if "group_add" in service} == {"worker", "monitor"}
    assert not any("privileged" in service or "cap_add" in service for service in SERVICES.values())


def test_only_the_gateway_is_published_and_only_on_this_machine() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"gateway"}
    assert [filled(port) for port in SERVICES["gateway"]["ports"]] == ["127.0.0.1:8000:8000"]
    assert COMPOSE["networks"]["data"]["internal"] is True
    assert all(SERVICES[name]["networks"] == ["data"] for name in ("postgres", "valkey", "migrate"))


def test_the_edge_is_on_the_hosts_network_and_reaches_the_database_by_its_socket() -> None:
    edge = SERVICES["edge"]
    assert edge["network_mode"] == "host" and "networks" not in edge
    assert filled(edge["environment"]["DOKPLOY_DATABASE_URL"]).endswith("@/dokploy?host=/var/run/postgresql")
    assert {"postgres-socket:/var/run/postgresql"} <= set(edge["volumes"]) & set(SERVICES["postgres"]["volumes"])
    runtime = str(Settings.model_fields["edge_runtime"].default)
    assert f"{runtime}:{runtime}" in edge["volumes"] and f"{runtime}/caddy.sock" in edge["healthcheck"]["test"][-1]


def test_the_monitor_is_on_the_hosts_network_and_may_nothing_but_ask() -> None:
    monitor = SERVICES["monitor"]
    assert monitor["network_mode"] == "host" and "networks" not in monitor
    assert monitor["volumes"] == [f"{SOCKET}:{SOCKET}", "postgres-socket:/var/run/postgresql:ro"]
    assert monitor["read_only"] is True and "user" not in monitor
    assert (monitor["cap_drop"], monitor["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert set(monitor["environment"]) == {"DOKPLOY_DATABASE_URL", "DOKPLOY_SECRET_KEYS"}
    check = monitor["healthcheck"]["test"][-1]
    compile(check, "healthcheck", "exec")
    assert SOCKET in check and "/var/run/postgresql/.s.PGSQL.5432" in check


def test_volumes_are_named() -> None:
    mounts = [mount.partition(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])]
    assert set(mounts) == {*COMPOSE["volumes"], SOCKET, "/run/dokploy"}


def test_work_directory_is_a_volume() -> None:
    data = dict(part.split("=", 1) for word, rest in FINAL if word == "ENV" for part in rest.split())["DOKPLOY_DATA"]
    assert f"work:{data}" in SERVICES["worker"]["volumes"]


def test_backups_are_a_volume_that_the_gateway_and_the_worker_share() -> None:
    mounts = {name for name, service in SERVICES.items() if any(str(mount).startswith("backups:") for mount in service.get("volumes", []))}
    assert mounts == {"gateway", "worker"}
    for name in mounts:
        directory = SERVICES[name]["environment"]["DOKPLOY_BACKUP_DIRECTORY"]
        assert f"backups:{directory}" in SERVICES[name]["volumes"]
        (made,) = [rest for word, rest in FINAL if word == "RUN" and "install --directory" in rest]
        assert "--owner=dokploy --group=dokploy --mode=0700" in made and directory in made.split()


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {f"DOKPLOY_{field.upper()}" for field in Settings.model_fields}
    named = set(re.findall(r"\bDOKPLOY_\w+", TEXT)) | set(re.findall(r"\bDOKPLOY_\w+", (ROOT / "Dockerfile").read_text()))
    assert named <= known


MAY_BE_EMPTY = {
    f"DOKPLOY_{name}"
    for name in (
        *("ACME_DIRECTORY", "ACME_EMAIL", "GIT_ALLOWED_HOSTS", "GRAPHQL_DOCUMENTS", "GRAPHQL_LIMITS"),
        *("BACKUP_S3", "DATABASE_IMAGES", "METRICS_TOKEN", "OIDC", "OIDC_REDIRECTS", "PUBLIC_URL", "RATE_LIMITS"),
        *("NOTIFICATION_ALLOWED_HOSTS", "SMTP_FROM", "SMTP_URL"),
    )
}


def test_variables_are_explained_and_those_without_default_required() -> None:
    for found in VARIABLE.finditer(TEXT):
        assert re.search(rf"^#     {found['name']} ", HEAD, re.MULTILINE)
        assert found["kind"] == ("?" if found["name"] in GIVEN else "-")
        assert found["rest"] or found["name"] in MAY_BE_EMPTY


@pytest.mark.parametrize("name", sorted(OURS))
def test_environment_is_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [variable for variable in os.environ if variable.startswith("DOKPLOY_")]:
        monkeypatch.delenv(variable)
    for variable, value in OURS[name]["environment"].items():
        monkeypatch.setenv(variable, filled(value))
    found = Settings()
    defaults = Settings.model_construct()
    socket = "postgresql://dokploy:0123456789abcdef@/dokploy?host=/var/run/postgresql"
    on_the_host = name in ("edge", "monitor")
    assert found.database_url == (socket if on_the_host else "postgresql://dokploy:0123456789abcdef@postgres:5432/dokploy")
    assert [key.get_secret_value() for key in found.secret_keys] == [GIVEN["DOKPLOY_SECRET_KEYS"]]
    if name == "monitor":
        return
    assert (found.edge, found.edge_gateway, found.edge_ports) == ("service", "127.0.0.1:8000", (80, 443))
    assert found.trusted_proxies == (IPv4Network(COMPOSE["networks"]["outside"]["ipam"]["config"][0]["gateway"]),)
    assert found.redis_url == "redis://valkey:6379/0"
    assert found.token_key is not None and found.token_key.get_secret_value() == GIVEN["DOKPLOY_TOKEN_KEY"]
    same = ("public_url", "cors_origins", "acme_directory", "acme_email", "rate_limits", "graphql_limits", "graphql_documents")
    databases = ("database_images", "backup_storage", "backup_s3", "backup_encryption", "upload_limit", "smtp_url", "smtp_from")
    hosts = ("git_allowed_hosts", "notification_allowed_hosts")
    for field in (*same, "registration", "oidc", "oidc_redirects", *hosts, "port_range", "worker_threads", *databases):
        assert getattr(found, field) == getattr(defaults, field)


def test_database_is_the_one_that_is_made() -> None:
    environment = SERVICES["postgres"]["environment"]
    url = filled(OURS["gateway"]["environment"]["DOKPLOY_DATABASE_URL"])
    password = filled(environment["POSTGRES_PASSWORD"])
    assert url == f"postgresql://{environment['POSTGRES_USER']}:{password}@postgres:5432/{environment['POSTGRES_DB']}"


def test_bases_of_the_image_are_pinned_and_new_enough() -> None:
    bases = [DOCKERFILE[index][1].split()[0] for index in STAGES]
    assert len(bases) == 2 and len(set(bases)) == 1
    assert PINNED.fullmatch(bases[0])
    least = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
    assert tuple(map(int, re.findall(r"\d+", bases[0])[:2])) >= least


def test_image_is_made_from_the_lock_file_by_the_launchers_uv() -> None:
    runs = [rest for word, rest in DOCKERFILE if word == "RUN"]
    syncs = [run for run in runs if run.startswith("uv sync")]
    assert len(syncs) == 2
    assert all({"--frozen", "--no-dev"} <= set(sync.split()) for sync in syncs)
    wanted = re.search(r'uv_version="([\d.]+)"', (ROOT / "dokploy").read_text())
    assert wanted is not None
    assert any(f" uv=={wanted[1]}" in run for run in runs)


def test_image_holds_every_package() -> None:
    copied = [rest.split()[:-1] for word, rest in DOCKERFILE if word == "COPY" and "--from" not in rest]
    sources = {source for sources in copied for source in sources}
    assert set(PACKAGES) <= sources
    assert {"pyproject.toml", "uv.lock", PROJECT["readme"], *PROJECT["license-files"]} <= sources
    assert all((ROOT / source).exists() for source in sources)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == sources


def test_image_runs_our_command_as_a_user_of_its_own() -> None:
    said = dict(FINAL)
    assert json.loads(said["ENTRYPOINT"]) == ["dokploy"]
    assert "dokploy" in PROJECT["scripts"]
    assert said["USER"] not in ("root", "0")
    (copied,) = [rest for word, rest in FINAL if word == "COPY"]
    environment = copied.split()[-1]
    assert copied == f"--from=build {environment} {environment}"
    assert any(word == "ENV" and rest.startswith(f"PATH={environment}/bin:") for word, rest in FINAL)


def _compose_plugin() -> str | None:
    """The docker client that has compose; without one its check does not exist."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    return docker if asked.returncode == 0 else None


if DOCKER := _compose_plugin():

    def test_compose_accepts_the_file() -> None:
        argv = [str(DOCKER), "compose", "--file", str(ROOT / "compose.yml"), "config", "--quiet"]
        done = subprocess.run(argv, env={**os.environ, **GIVEN}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
