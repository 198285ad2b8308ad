"""Caddy's Swarm service: the exact command line, and which of its tasks is met."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.workers.edge.test_names import task
from workers.docker_argv import Client
from workers.edge.swarm_service import Wanted, newest, service_create

WANTED = Wanted("0199a2b4-0000-7000-8000-00000000000a", "dokploy-edge:1", Path("/run/dokploy"))


def test_the_command_line() -> None:
    assert service_create(Client("docker", "20.10.24", "legacy"), WANTED) == [
        *("docker", "service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", "dokploy-edge-00000000000a"),
        *("--label", "dokploy.edge=0199a2b4-0000-7000-8000-00000000000a", "--label", f"dokploy.edge.likeness={WANTED.likeness}"),
        *("--mode", "global", "--network", "host", "--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"),
        *("--env", "CADDY_ADMIN=unix//run/dokploy/{{.Task.ID}}.sock|0600", "--env", "HOME=/data", "--env", "XDG_DATA_HOME=/data"),
        *("--env", "GOGC=400", "--env", "GOMEMLIMIT=256MiB"),
        *("--mount", "type=bind,source=/run/dokploy,target=/run/dokploy"),
        *("--mount", "type=volume,source=dokploy-edge-00000000000a,target=/data"),
        *("--stop-grace-period", "15s", "--restart-condition", "any", "--restart-delay", "1s", "--limit-pids", "512"),
        *("--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=3", "--", "dokploy-edge:1"),
    ]


def test_a_file_with_an_authority_is_there_to_read() -> None:
    argv = service_create(Client("docker", "20.10.24", "legacy"), replace(WANTED, acme_root=Path("/etc/root.pem")))
    assert "type=bind,source=/etc/root.pem,target=/etc/root.pem,readonly" in argv


def test_what_is_not_the_same_is_known_by_its_likeness() -> None:
    assert replace(WANTED).likeness == WANTED.likeness
    others = [replace(WANTED, image="dokploy-edge:2"), replace(WANTED, runtime=Path("/run/other")), replace(WANTED, acme_root=Path("/a"))]
    assert len({each.likeness for each in [WANTED, *others]}) == 4


def test_the_newest_task_that_runs_here_is_met() -> None:
    now = datetime.now(UTC)
    old, new, elsewhere, ending = (
        replace(task("c"), id=name, timestamp=now + timedelta(seconds=age), desired_state=wanted)
        for name, age, wanted in (("old", 1, "running"), ("new", 2, "running"), ("elsewhere", 3, "running"), ("ending", 4, "shutdown"))
    )
    here = {name: Path(name) for name in ("old", "new", "ending")}
    assert newest([old, new, elsewhere, ending], here) == Path("new")
    assert newest([ending], here) is None
    assert newest([], here) is None
