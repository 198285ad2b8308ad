"""The Docker Engine: one that answers is used, else the distribution's is installed and started; Swarm is initialised."""

import asyncio
import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.embedded import engine_remains as remains
from gateway.embedded import probes, processes
from gateway.embedded.children import Command, capture, run
from gateway.embedded.engine_install import EngineFailed, NoEngine, install_missing, must_be_ours_to_start, path_with_sbin
from gateway.embedded.engine_remains import Home
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.supervisor import NotReady, Report, Supervised, say

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
"""dockerd gives each container 10 s before it kills it."""
REMOTE_SECONDS: Final = 10.0
_SYSTEMD: Final = Path("/run/systemd/system")
"""A directory exactly where systemd is the service manager."""


class NoSwarm(EmbeddedError):
    """Swarm cannot be initialised."""


@dataclass(frozen=True)
class Remote:
    """An engine that only the docker command line can reach (ssh, TLS)."""


Engine = probes.Address | Remote


class OwnEngine:
    """A `dockerd` that we started and keep running; `stop` ends it, with its containers."""

    def __init__(self, home: Home, supervised: Supervised) -> None:
        self._home = home
        self._supervised = supervised

    @property
    def pid(self) -> int | None:
        """Its process id; None while it is being restarted."""
        return self._supervised.pid

    async def stop(self) -> None:
        """Stop it within a minute and leave none of its processes."""
        await self._supervised.stop()
        await remains.clear(self._home)


async def ensure_engine(log: Path, *, home: Home | None = None, report: Report = say) -> OwnEngine | None:
    """Make sure that an engine with Swarm answers; the one we had to start ourselves, with its output in `log`.

    DOCKER_HOST names the engine, unless `home` does. Raises `NoEngine` (with what to install or start), `EngineFailed` (it is installed
    but does not come up) and `NoSwarm`.
    """
    named = os.environ.get("DOCKER_HOST", "") if home is None else ""
    home = home or Home()
    engine = address(named, home)
    if named and not await answers(engine):
        raise NoEngine(f"DOCKER_HOST is {named}, and no Docker Engine answers there")
    own = None if named else await _bring_up(home, log, report)
    try:
        await ensure_swarm(engine, report)
    except BaseException:
        if own:
            await own.stop()
        raise
    return own


async def answers(engine: Engine) -> bool:
    """Whether it answers within two seconds (one that only the command line reaches: ten)."""
    if isinstance(engine, Path | probes.Tcp):
        return await probes.http_answers(engine, "/_ping")
    command = Command("docker", ["docker", "info"], output=Path(os.devnull), grace=1.0)
    try:
        async with asyncio.timeout(REMOTE_SECONDS):
            return await run(command) == 0
    except OSError:
        return False


async def ensure_swarm(engine: Engine, report: Report = say) -> None:
    """Initialise Swarm when it is inactive. Raises `NoSwarm`."""
    state = await swarm_state(engine)
    if state == "inactive":
        # Imported here because the supervisor stays small: pydantic is needed only this once.
        from models.settings import settings

        await _initialise_swarm(engine, settings().swarm_advertise_address, report)
    elif state != "active":
        raise NoSwarm(f"Swarm is {state} on this Docker Engine; `docker info` says more, `docker swarm leave --force` starts afresh")


async def swarm_state(engine: Engine) -> str:
    """`inactive`, `pending`, `active`, `error` or `locked`. Raises `NoSwarm` when it cannot be found out."""
    if isinstance(engine, Path | probes.Tcp):
        try:
            _, body = await probes.http_get(engine, "/info")
            return str(json.loads(body)["Swarm"]["LocalNodeState"])
        except (OSError, ValueError, KeyError) as error:
            raise NoSwarm(f"the Docker Engine does not say whether Swarm is active: {error!r}") from error
    status, said = await capture(Command("docker", ["docker", "info", "--format", "{{.Swarm.LocalNodeState}}"]))
    if status:
        raise NoSwarm(f"the Docker Engine does not say whether Swarm is active: {said}")
    return said


def address(docker_host: str, home: Home) -> Engine:
    """Where the engine is that DOCKER_HOST names; the one of `home` when it is empty."""
    scheme, _, rest = docker_host.partition("://")
    if not docker_host:
        return home.socket
    if scheme == "unix":
        return Path(rest)
    host, _, port = rest.rstrip("/").rpartition(":")
    if scheme == "tcp" and port.isdigit() and not os.environ.get("DOCKER_TLS_VERIFY"):
        return probes.Tcp(host.strip("[]"), int(port))
    return Remote()


def swarm_argv(engine: Engine, advertise_address: str) -> list[str]:
    """Initialise Swarm through the command line, which finds any engine but one on an unusual socket by itself."""
    host = ["--host", f"unix://{engine}"] if isinstance(engine, Path) else []
    return ["docker", *host, "swarm", "init", "--advertise-addr", advertise_address]


def dockerd_argv(home: Home) -> list[str]:
    """The daemon; no flag for what is the default anyway, since a flag that `daemon.json` sets too is an error."""
    usual = Home()
    flags = {
        "--pidfile": (home.pid_file, usual.pid_file),
        "--exec-root": (home.exec_root, usual.exec_root),
        "--data-root": (home.data_root, usual.data_root),
    }
    host = [] if home.socket == usual.socket else ["--host", f"unix://{home.socket}"]
    return [
        "dockerd",
        *host,
        *(str(part) for flag, (ours, default) in flags.items() if ours != default for part in (flag, ours)),
        *home.flags,
    ]


async def _bring_up(home: Home, log: Path, report: Report) -> OwnEngine | None:
    """An answering engine of `home`: found, or installed and started. None when it is not we who run it."""
    if home.socket.exists() and not os.access(home.socket, os.W_OK):
        raise NoEngine(f"{home.socket} may not be opened by this user: add it to the group `docker` and log in again")
    await _let_orphan_end(home)
    if await answers(home.socket) or await _slow_one_answers(home):
        return None
    must_be_ours_to_start()
    await install_missing(log.with_name("install.log"), report)
    if await answers(home.socket) or await _slow_one_answers(home):
        return None
    if home == Home() and _SYSTEMD.is_dir():
        await _start_service(home, log, report)
        return None
    return await _start_ourselves(home, log, report)


async def _let_orphan_end(home: Home) -> None:
    def orphans() -> list[processes.Process]:
        return [orphan] if (orphan := remains.orphaned_daemon(home)) else []

    if not await processes.gone(orphans, STOP_SECONDS):
        processes.kill(orphans())
        await processes.gone(orphans, 5.0)


async def _slow_one_answers(home: Home) -> bool:
    """Whether a daemon that runs but does not answer begins to; False when there is none. Raises `EngineFailed` when it never does."""
    daemon = remains.living_daemon(home)
    if daemon is None:
        return False

    async def decided() -> bool:
        return remains.living_daemon(home) is None or await answers(home.socket)

    if not await probes.within(START_SECONDS, decided):
        raise EngineFailed(f"dockerd (process {daemon.pid}) runs but does not answer on {home.socket}")
    return await answers(home.socket)


async def _start_service(home: Home, log: Path, report: Report) -> None:
    report("starting the Docker Engine: systemctl start docker")
    await run(Command("systemctl", ["systemctl", "start", "docker"], output=log))
    if not await probes.within(START_SECONDS, lambda: answers(home.socket)):
        raise EngineFailed("the service `docker` does not come up: see `journalctl -u docker`")


async def _start_ourselves(home: Home, log: Path, report: Report) -> OwnEngine:
    report(f"starting the Docker Engine: dockerd, its log is {log}")
    command = Command(
        "dockerd",
        dockerd_argv(home),
        env={**os.environ, "PATH": path_with_sbin(), remains.OWNER: str(os.getpid())},
        output=log,
        grace=STOP_SECONDS,
        death_signal=signal.SIGTERM,
    )
    supervised = Supervised(command, report, lambda: remains.clear(home, report))
    try:
        await supervised.start()
        await supervised.ready(lambda: answers(home.socket), seconds=START_SECONDS, lives=2)
    except BaseException as error:
        await OwnEngine(home, supervised).stop()
        if isinstance(error, NotReady):
            raise EngineFailed(str(error)) from error
        raise
    return OwnEngine(home, supervised)


async def _initialise_swarm(engine: Engine, advertise_address: str, report: Report) -> None:
    if shutil.which("docker") is None:
        raise NoSwarm("Swarm is inactive and there is no `docker` command to initialise it with: install the Docker command line")
    report(f"initialising Swarm (advertised address {advertise_address})")
    status, said = await capture(Command("docker", swarm_argv(engine, advertise_address)))
    if status and await swarm_state(engine) != "active":
        raise NoSwarm(f"docker swarm init: {said}")
