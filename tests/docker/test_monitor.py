"""The monitor's process over a real service of Swarm: a server on an overlay network, with a volume, that is replaced meanwhile."""

import json
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copy2
from typing import Any
from uuid import uuid4

import pytest

from gateway.demo.base_image import BASE_IMAGE
from gateway.embedded.binaries import valkey_binary
from models.secrets import cipher
from tests.docker.installation import Installation, eventually

pytestmark = pytest.mark.docker

IMAGE = "dokploy-test-monitor:1"
PASSWORD = "sEcReT-user"
INSERT = """
    insert into database (id, created_at, updated_at, name, project_id, type, version, service_name, status, credentials, generation,
                          configuration, memory_limit, storage_size, volume, stopped, wished, granted, restart_wish, delete_volumes,
                          delete_backups, storage_alert)
    values ($1, now(), now(), $2, $3, 'redis', '8', $2, 'running', $4, 1, '{}', 64, 32, $2, false, 1, 1, 0, false, false, false)
"""


@pytest.fixture(scope="module")
async def image(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Valkey, and what it is linked to."""
    context = tmp_path_factory.mktemp("image")
    binary = valkey_binary(None, installation.stack.directory)
    copy2(binary, context / "valkey-server")
    linked = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    libraries = [Path(found) for found in re.findall(r"(/\S+) \(0x", linked)]
    for library in libraries:
        copy2(library, context / library.name)
    copies = "".join(f"COPY {library.name} {library}\n" for library in libraries)
    (context / "Dockerfile").write_text(f"FROM {BASE_IMAGE}\n{copies}COPY valkey-server /bin/valkey-server\n")
    await installation.command("build", "--quiet", "--tag", IMAGE, str(context))
    yield IMAGE
    await installation.command("image", "rm", "--force", IMAGE)


@pytest.fixture
async def database(installation: Installation, image: str) -> AsyncIterator[str]:
    """A database that runs: a row, a service of the same name, a network, a volume."""
    id, name = uuid4(), f"dokploy-test-{uuid4().hex[:12]}"
    project = await installation.owner.made("/projects", {"name": f"Monitored{name[-4:]}"})
    stored = {"username": "default", "password": PASSWORD, "admin_password": "", "database": ""}
    secret = cipher().encrypt(json.dumps(stored).encode()).decode()
    await installation.database.execute(INSERT, id, name, project["id"], secret)
    await installation.command("network", "create", "--driver", "overlay", name)
    label = f"dokploy.database={id}"
    service = ("--detach", "--name", name, "--label", label, "--container-label", label, "--network", name, "--no-resolve-image")
    server = ("valkey-server", "--requirepass", PASSWORD, "--dir", "/data", "--save", "", "--protected-mode", "no")
    await installation.command("service", "create", *service, "--mount", f"type=volume,source={name},target=/data", image, *server)
    yield str(id)
    await installation.command("service", "rm", name)

    async def gone() -> bool:
        return await installation.command("ps", "--all", "--quiet", "--filter", f"label={label}") == []

    await eventually(gone, within=60)
    await installation.command("network", "rm", name)
    await installation.command("volume", "rm", name)
    await installation.database.execute("delete from database where id = $1", id)


@pytest.fixture
async def monitor(installation: Installation) -> AsyncIterator[None]:
    async with installation.monitor():
        yield


@pytest.mark.usefixtures("monitor")
async def test_a_database_is_measured_and_so_is_the_container_in_its_place(installation: Installation, database: str) -> None:
    async def sampled(before: Any = None) -> Any:
        found = await installation.database.fetchrow("select * from database where id = $1", database)
        return found if found["connections"] is not None and found["sampled_at"] != before and found["current_memory"] is not None else None

    row = await eventually(sampled, within=40)
    assert (row["connections"], row["cache_hit_rate"], row["storage_alert"]) == (0, None, False)
    assert row["size"] > 100_000 and row["queries"] > 0
    assert 0 < row["current_memory"] < 64

    label = f"label=dokploy.database={database}"
    (container,) = await installation.command("ps", "--quiet", "--filter", label)
    await installation.command("exec", container, "dd", "if=/dev/zero", "of=/data/filler", "bs=1048576", "count=30")

    async def alerted() -> Any:
        found = await installation.database.fetchrow("select * from database where id = $1", database)
        return found if found["storage_alert"] else None

    row = await eventually(alerted, within=60)
    assert 30 <= row["current_storage"] < 33

    await installation.command("kill", container)

    async def replaced() -> bool:
        return await installation.command("ps", "--quiet", "--filter", label) not in ([], [container])

    await eventually(replaced, within=60)
    queries = row["queries"]
    row = await eventually(lambda: sampled(row["sampled_at"]), within=60)
    row = await eventually(lambda: sampled(row["sampled_at"]), within=60)
    assert row["queries"] < queries + 20 and row["storage_alert"]

    async def printed() -> Any:
        found = (await installation.owner.get(f"/databases/{database}/logs?search=ready to accept")).json()["logs"]
        return found if len(found) == 2 else None

    first, second = await eventually(printed, within=10)
    assert first["timestamp"] < second["timestamp"], "what the container printed that is gone is kept"
    assert first["container"] == second["container"] == f"{row['service_name']}-1"

    events = [json.loads(line) for line in installation.log("monitor").read_text().splitlines()]
    alerts = [event for event in events if event["event"] == "monitor.storage_alert"]
    assert [(event["database"], event["alert"], event["storage_size_mib"]) for event in alerts] == [(database, True, 32)]
    assert not [event for event in events if event["event"] in ("monitor.unexpected", "monitor.away")]
    assert PASSWORD not in installation.log("monitor").read_text()
