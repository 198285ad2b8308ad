"""The docker command line: exact argvs, hostile values, choosing a client, progress of recorded builds."""

import os
import stat
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers import docker, docker_argv
from workers.build_progress import BuildProgress, count_steps
from workers.docker import Client, EnvVar, HealthCheck, Mount, Port, ReservedName, ServiceSpec, UnsafeValue
from workers.docker_errors import explain, explain_build
from workers.processes import Lines
from workers.service_spec import reserved, validate

RECORDED = Path(__file__).parent / "recorded"
CLIENT = Client("/usr/bin/docker", "20.10.24", "buildkit")
SPEC = ServiceSpec("app-1", "app:1", "project-1", {"dokploy.deployment": "d1"})
FULL = ServiceSpec(
    name="app-1",
    image="registry.example.org:5000/team/app:d2-1",
    network="project-1",
    labels={"dokploy.application": "a1", "dokploy.deployment": "d2"},
    env=(EnvVar("MODE", "-x=1"), EnvVar("TOKEN", "s3cret", secret=True)),
    ports=(Port(53, 30053, "udp"),),
    mounts=(Mount("app-1-data", "/var/lib/data"), Mount("app-1-etc", "/etc/app", read_only=True)),
    health=HealthCheck("curl -f http://localhost || exit 1", interval=0.5, timeout=2, retries=4, start_period=30),
    memory_mib=256,
    cpus=0.5,
    replicas=2,
    order="stop-first",
    stop_grace_seconds=25,
    update_monitor_seconds=7,
)


def fixed(replicas: int, order: str, monitor: str, grace: str = "10s") -> list[str]:
    return [
        *("--replicas", str(replicas), "--endpoint-mode", "dnsrr", "--init"),
        *("--update-order", order, "--update-parallelism", "1", "--update-delay", "0s", "--update-monitor", monitor),
        *("--update-failure-action", "rollback", "--update-max-failure-ratio", "0"),
        *("--rollback-order", order, "--rollback-parallelism", "1", "--rollback-monitor", monitor),
        *("--restart-condition", "any", "--restart-delay", "2s", "--stop-grace-period", grace, "--limit-pids", "512"),
        *("--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"),
        *("--cap-drop", "AUDIT_WRITE", "--cap-drop", "MKNOD", "--cap-drop", "NET_RAW"),
    ]


CREATE = ["/usr/bin/docker", "service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", "app-1", "--network", "project-1"]
UPDATE = ["/usr/bin/docker", "service", "update", "--detach", "--quiet", "--no-resolve-image", "--image"]


def current(**container) -> dict:
    """The service as the Engine tells it after SPEC was created."""
    labels = {"dokploy.deployment": "d1", "dokploy.network": "project-1"}
    return {"Spec": {"Labels": dict(labels), "TaskTemplate": {"ContainerSpec": {"Labels": dict(labels)} | container}, "EndpointSpec": {}}}


# --- services ----------------------------------------------------------------------------------------------------------------


def test_create_argv_of_little():
    labels = ["dokploy.deployment=d1", "dokploy.network=project-1"]
    flags = [item for flag in ("--label", "--container-label") for label in labels for item in (flag, label)]
    assert docker_argv.service_create(CLIENT, SPEC) == [*CREATE, *fixed(1, "start-first", "5s"), *flags, "--", "app:1"]


def test_create_argv_of_everything():
    labels = ["dokploy.application=a1", "dokploy.deployment=d2", "dokploy.network=project-1"]
    flags = [item for flag in ("--label", "--container-label") for label in labels for item in (flag, label)]
    assert docker_argv.service_create(CLIENT, FULL) == [
        *CREATE,
        *fixed(2, "stop-first", "7s", "25s"),
        *flags,
        *("--env", "MODE=-x=1", "--env", "TOKEN"),
        *("--publish", "mode=host,published=30053,target=53,protocol=udp"),
        *("--mount", "type=volume,source=app-1-data,target=/var/lib/data"),
        *("--mount", "type=volume,source=app-1-etc,target=/etc/app,readonly"),
        *("--health-cmd", "curl -f http://localhost || exit 1", "--health-interval", "500ms", "--health-timeout", "2s"),
        *("--health-retries", "4", "--health-start-period", "30s"),
        *("--limit-memory", "256m", "--limit-cpu", "0.5"),
        *("--", "registry.example.org:5000/team/app:d2-1"),
    ]
    assert docker_argv.secret_environment(FULL.env) == {"TOKEN": "s3cret"}
    assert "s3cret" not in repr(FULL)


def test_update_argv_of_nothing_changes_nothing():
    expected = [*UPDATE, "app:1", *fixed(1, "start-first", "5s"), "--limit-memory", "0", "--limit-cpu", "0", "--", "app-1"]
    assert docker_argv.service_update(CLIENT, SPEC, current()) == expected


def test_update_argv_adds_what_is_new():
    service = current()
    argv = docker_argv.service_update(CLIENT, FULL, service)
    assert argv == [
        *UPDATE,
        FULL.image,
        *fixed(2, "stop-first", "7s", "25s"),
        *("--label-add", "dokploy.application=a1", "--label-add", "dokploy.deployment=d2"),
        *("--container-label-add", "dokploy.application=a1", "--container-label-add", "dokploy.deployment=d2"),
        *("--env-add", "MODE=-x=1", "--env-add", "TOKEN"),
        *("--publish-add", "mode=host,published=30053,target=53,protocol=udp"),
        *("--mount-add", "type=volume,source=app-1-data,target=/var/lib/data"),
        *("--mount-add", "type=volume,source=app-1-etc,target=/etc/app,readonly"),
        *("--health-cmd", "curl -f http://localhost || exit 1", "--health-interval", "500ms", "--health-timeout", "2s"),
        *("--health-retries", "4", "--health-start-period", "30s"),
        *("--limit-memory", "256m", "--limit-cpu", "0.5", "--", "app-1"),
    ]


def test_update_argv_removes_what_is_gone():
    service = current(
        Env=["OLD=1", "TOKEN=s3cret"],
        Mounts=[{"Type": "volume", "Source": "app-1-old", "Target": "/old"}],
        Healthcheck={"Test": ["CMD-SHELL", "true"]},
    )
    service["Spec"]["Labels"] |= {"old": "1", "dokploy.network": "other"}
    service["Spec"]["EndpointSpec"] = {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}]}
    argv = docker_argv.service_update(CLIENT, SPEC, service)
    start = len(UPDATE) + 1 + len(fixed(1, "start-first", "5s"))
    assert argv[start:] == [
        *("--label-add", "dokploy.network=project-1", "--label-rm", "old"),
        *("--env-rm", "OLD", "--env-rm", "TOKEN"),
        *("--publish-rm", "mode=host,target=80,protocol=tcp"),
        *("--mount-rm", "/old"),
        *("--network-rm", "other", "--network-add", "project-1"),
        *("--health-cmd", "", "--limit-memory", "0", "--limit-cpu", "0", "--", "app-1"),
    ]


def test_update_sets_only_the_variables_that_differ():
    spec = replace(SPEC, env=(EnvVar("A", "1"), EnvVar("B", "2"), EnvVar("S", "old", secret=True), EnvVar("T", "new", secret=True)))
    service = current(Env=["A=1", "B=1", "S=old", "T=old"])
    argv = docker_argv.service_update(CLIENT, spec, service)
    assert [argv[n + 1] for n, item in enumerate(argv) if item == "--env-add"] == ["B=2", "T"]
    assert docker_argv.secret_environment(docker_argv.changed_env(spec, service)) == {"T": "new"}


def test_the_small_command_lines():
    start = ["/usr/bin/docker", "service"]
    assert docker_argv.service_restart(CLIENT, "app-1") == [*start, "update", "--detach", "--quiet", "--force", "--", "app-1"]
    assert docker_argv.service_rollback(CLIENT, "app-1") == [*start, "rollback", "--detach", "--quiet", "--", "app-1"]
    assert docker_argv.service_scale(CLIENT, "app-1", 3) == [*start, "scale", "--detach", "--", "app-1=3"]
    assert docker_argv.pull(CLIENT, "nginx:1.27") == ["/usr/bin/docker", "pull", "--", "nginx:1.27"]


# --- builds ------------------------------------------------------------------------------------------------------------------


def build_argv(client: Client, **changes) -> list[str]:
    wanted = {
        "context": Path("/w/app"),
        "dockerfile": Path("/w/app/Dockerfile"),
        "tag": "app:d1-1",
        "labels": {"a": "b"},
        "iidfile": Path("/w/iid"),
    }
    return docker_argv.build(client, **(wanted | changes))


def test_build_argv_of_each_builder():
    rest = ["--pull=false", "--file", "/w/app/Dockerfile", "--tag", "app:d1-1", "--iidfile", "/w/iid", "--label", "a=b"]
    assert build_argv(CLIENT) == ["/usr/bin/docker", "build", "--progress", "plain", *rest, "--", "/w/app"]
    legacy = Client("/usr/local/bin/docker", "28.2.2", "legacy")
    assert build_argv(legacy, no_cache=True) == [
        "/usr/local/bin/docker",
        "build",
        "--rm",
        "--force-rm",
        *rest,
        "--no-cache",
        "--",
        "/w/app",
    ]
    buildx = Client("/usr/local/bin/docker", "28.2.2", "buildx")
    assert build_argv(buildx) == ["/usr/local/bin/docker", "buildx", "build", "--load", "--progress", "plain", *rest, "--", "/w/app"]
    assert [docker_argv.build_environment(client)["DOCKER_BUILDKIT"] for client in (CLIENT, legacy, buildx)] == ["1", "0", "1"]


def test_build_paths_are_absolute():
    for name in ("context", "dockerfile", "iidfile"):
        with pytest.raises(UnsafeValue):
            build_argv(CLIENT, **{name: Path("--build-arg")})


def percentages(name: str) -> list[int]:
    lines = Lines()
    progress = BuildProgress(count_steps((RECORDED / "Dockerfile").read_text()))
    return [progress.feed(line) for line in lines.feed((RECORDED / name).read_bytes()) + lines.flush()]


@pytest.mark.parametrize("name", ["build_buildkit.txt", "build_buildkit_cached.txt", "build_legacy.txt"])
def test_recorded_builds_rise_to_a_hundred(name: str):
    seen = percentages(name)
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert len(set(seen)) > 5


def test_a_recorded_build_that_fails_does_not_reach_a_hundred():
    seen = percentages("build_buildkit_failed.txt")
    assert seen == sorted(seen)
    assert seen[-1] == 71  # five of seven: both stages share their FROM
    assert count_steps((RECORDED / "Dockerfile").read_text()) == 7


def test_progress_of_a_single_stage():
    progress = BuildProgress()
    lines = [
        "#4 [1/4] FROM x",
        "#4 CACHED",
        "#5 [2/4] RUN a",
        "#5 0.2 [9/9] fake",
        "#5 DONE 1.0s",
        "#6 [linux/amd64 3/4] RUN b",
        "#6 DONE 0s",
    ]
    assert [progress.feed(line) for line in lines] == [0, 25, 25, 25, 50, 50, 50]


@given(
    st.lists(
        st.text(max_size=30)
        | st.sampled_from(
            ["#1 [1/2] x", "#1 DONE", "#2 [a 3/3] x", "#2 CACHED", "Step 3/2 : x", "Step 0/0 : x", "#9 exporting to image", "#9 DONE"]
        )
    )
)
def test_progress_never_falls_whatever_is_printed(lines: list[str]):
    progress = BuildProgress()
    seen = [progress.feed(line) for line in lines]
    assert seen == sorted(seen)
    assert all(0 <= percentage <= 100 for percentage in seen)


# --- hostile values ----------------------------------------------------------------------------------------------------------

HOSTILE = st.text(max_size=40) | st.sampled_from(
    [
        "--privileged",
        "-v/:/host",
        "a b",
        "a\nb",
        "a\0b",
        "$(id)",
        "a,source=/,type=bind",
        'a"b',
        "a;b",
        "../../etc",
        "",
        "a=b",
        "é",
        "\ud800",
    ]
)


def test_every_text_field_is_checked():
    bad = [
        replace(SPEC, name="-x"),
        replace(SPEC, name="A"),
        replace(SPEC, name="x" * 64),
        replace(SPEC, image="-x"),
        replace(SPEC, image="a b"),
        replace(SPEC, image="a:b:c"),
        replace(SPEC, image="http://x/y"),
        replace(SPEC, network="--attachable"),
        replace(SPEC, labels={"-x": "y"}),
        replace(SPEC, labels={"a=b": "y"}),
        replace(SPEC, labels={"a": "-y"}),
        replace(SPEC, labels={"a": "x\ny"}),
        replace(SPEC, env=(EnvVar("A=B", "x"),)),
        replace(SPEC, env=(EnvVar("-A", "x"),)),
        replace(SPEC, env=(EnvVar("A", "x\0"),)),
        replace(SPEC, env=(EnvVar("A", "x" * 65537),)),
        replace(SPEC, env=(EnvVar("A", "x"), EnvVar("A", "y"))),
        replace(SPEC, mounts=(Mount("/etc", "/x"),)),
        replace(SPEC, mounts=(Mount("a,type=bind", "/x"),)),
        replace(SPEC, mounts=(Mount("data", "/x,readonly=false"),)),
        replace(SPEC, mounts=(Mount("data", '/x"'),)),
        replace(SPEC, mounts=(Mount("data", "/x\ny"),)),
        replace(SPEC, mounts=(Mount("data", "x"),)),
        replace(SPEC, mounts=(Mount("data", "/x"), Mount("other", "/x"))),
        replace(SPEC, health=HealthCheck("a\nb")),
        replace(SPEC, health=HealthCheck("-a")),
        replace(SPEC, health=HealthCheck("")),
        replace(SPEC, health=HealthCheck("a", retries=0)),
        replace(SPEC, ports=(Port(0, 80),), order="stop-first"),
        replace(SPEC, ports=(Port(80, 65536),), order="stop-first"),
        replace(SPEC, ports=(Port(80, 80),)),
        replace(SPEC, ports=(Port(80, 80, mode="ingress"),)),
        replace(SPEC, ports=(Port(80, 80), Port(80, 81)), order="stop-first"),
        replace(SPEC, ports=(Port(80, 80, "sctp"),), order="stop-first"),  # type: ignore[arg-type]
        replace(SPEC, replicas=-1),
        replace(SPEC, order="--x"),  # type: ignore[arg-type]
        replace(SPEC, memory_mib=1),
    ]
    for spec in bad:
        with pytest.raises(UnsafeValue):
            docker_argv.service_create(CLIENT, spec)
        with pytest.raises(UnsafeValue):
            docker_argv.service_update(CLIENT, spec, current())


@pytest.mark.parametrize(
    "image",
    [
        "nginx",
        "nginx:1.27",
        "library/nginx",
        "ghcr.io/a/b-c_d.e:v1",
        "localhost:5000/x",
        "[::1]:5000/x",
        "x@sha256:" + "a" * 64,
        "sha256:" + "0" * 64,
        "a--b/c__d",
    ],
)
def test_ordinary_images_pass(image: str):
    assert docker_argv.pull(CLIENT, image)[-1] == image


@settings(max_examples=400)
@given(HOSTILE, st.sampled_from([field.name for field in fields(ServiceSpec) if field.name in ("name", "image", "network")]))
def test_one_value_is_one_item(text: str, name: str):
    spec = replace(SPEC, **{name: text})
    try:
        argv = docker_argv.service_create(CLIENT, spec)
    except UnsafeValue:
        return
    assert len(argv) == len(docker_argv.service_create(CLIENT, SPEC))
    assert not text.startswith("-")


@settings(max_examples=400)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_one_pair_is_one_item(key: str, value: str, target: str):
    tries = (
        replace(SPEC, env=(EnvVar(key, value),)),
        replace(SPEC, env=(EnvVar("K", value),)),
        replace(SPEC, mounts=(Mount(key, target),)),
        replace(SPEC, mounts=(Mount("data", target),)),
        replace(SPEC, health=HealthCheck(value)),
        replace(SPEC, labels={"dokploy.deployment": value}),
    )
    plain = docker_argv.service_create(CLIENT, SPEC)
    for spec in tries:
        try:
            argv = docker_argv.service_create(CLIENT, spec)
        except UnsafeValue:
            continue
        extra = 2 * (len(spec.env) + len(spec.mounts)) + (10 if spec.health else 0)
        assert len(argv) == len(plain) + extra
        for mount in spec.mounts:
            assert f"type=volume,source={mount.volume},target={mount.target}".count(",") == 2


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "TMPDIR", "DOCKER_HOST", "DOCKER_CONFIG", "LD_PRELOAD", "GODEBUG", "GOMAXPROCS", "HTTP_PROXY", "https_proxy"),
        *("NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "XDG_CONFIG_HOME", "BUILDKIT_HOST", "BUILDX_CONFIG", "COMPOSE_FILE", "BASH_ENV"),
    ],
)
def test_secrets_that_would_steer_the_client_are_refused(name: str):
    assert reserved(name)
    with pytest.raises(ReservedName):
        validate(replace(SPEC, env=(EnvVar(name, "x", secret=True),)))
    validate(replace(SPEC, env=(EnvVar(name, "x"),)))  # not a secret: it is an item of the argv and steers nothing


@pytest.mark.parametrize("name", ["DATABASE_URL", "GOOGLE_API_KEY", "GOLD", "PATHS", "API_TOKEN", "PROXY_URL", "HOMEPAGE"])
def test_ordinary_secrets_are_not_reserved(name: str):
    assert not reserved(name)


def test_every_variable_passed_to_the_client_is_reserved(monkeypatch: pytest.MonkeyPatch):
    for name in ("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_TLS", "SECRET", "https_proxy"):
        monkeypatch.setenv(name, "x")
    env = docker.environment()
    assert {name for name in env if not reserved(name)} <= {"LC_ALL"}
    assert env["DOCKER_HOST"] == "x"
    assert "SECRET" not in env


# --- choosing a client -------------------------------------------------------------------------------------------------------


def stand_in(directory: Path, version: str, *, buildx: bool) -> str:
    directory.mkdir()
    path = directory / "docker"
    path.write_text(f'#!/bin/sh\n[ "$1" = buildx ] && exit {0 if buildx else 1}\necho "{version}"\n')
    path.chmod(stat.S_IRWXU)
    return str(path)


async def test_the_best_client_on_path_is_chosen(tmp_path: Path):
    new = stand_in(tmp_path / "a", "Docker version 28.2.2, build e6534b4", buildx=False)
    old = stand_in(tmp_path / "b", "Docker version 20.10.24+dfsg1, build 297e128", buildx=False)
    full = stand_in(tmp_path / "c", "Docker version 27.0.1, build x", buildx=True)
    stand_in(tmp_path / "d", "podman version 4.3.1", buildx=True)

    async def choose(*names: str) -> Client:
        return await docker.choose("", os.pathsep.join([*(str(tmp_path / name) for name in names), "/nonexistent"]))

    assert await choose("a", "b", "c") == Client(full, "27.0.1", "buildx")
    assert await choose("a", "b") == Client(old, "20.10.24+dfsg1", "buildkit")
    assert await choose("a") == Client(new, "28.2.2", "legacy")
    for names in ("d",), ():
        with pytest.raises(docker.NoClient):
            await choose(*names)
    assert await docker.choose(new) == Client(new, "28.2.2", "legacy")
    with pytest.raises(docker.NoClient, match="/nonexistent/docker"):
        await docker.choose("/nonexistent/docker")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", docker.DockerUnavailable),
        ("failed to solve: write /x: no space left on device", docker.DiskFull),
        ("Error response from daemon: manifest for nginx:9 not found: manifest unknown: manifest unknown", docker.ImageNotFound),
        (
            "Error response from daemon: pull access denied for x, repository does not exist or may require 'docker login'",
            docker.ImageNotFound,
        ),
        ("Error: No such service: x", docker.NoService),
        ("Error response from daemon: rpc error: code = Unknown desc = name conflicts with an existing object", docker.DockerFailed),
    ],
)
def test_explanations(line: str, error: type[docker.DockerError]):
    explained = explain(("noise", line, ""))
    assert type(explained) is error
    assert explained.tail[1] == line
    assert str(explained)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("dial tcp 10.0.0.1:5432: connect: connection refused", "BUILD_FAILED"),
        ("#7 0.2 rpc error: code = Unavailable", "BUILD_FAILED"),
        ("#7 0.2 Cannot connect to the Docker daemon at unix:///var/run/docker.sock", "BUILD_FAILED"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "DOCKER_UNAVAILABLE"),
        ("ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "DOCKER_UNAVAILABLE"),
        ("failed to copy: no space left on device", "DISK_FULL"),
    ],
)
def test_an_absent_engine_is_believed_in_the_clients_own_words_only(line: str, code: str) -> None:
    assert explain_build(("Step 1/2", line)).code == code
