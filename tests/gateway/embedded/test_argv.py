"""The command lines and configuration files, to the letter."""

from pathlib import Path

import pytest

from gateway.embedded import engine, engine_install, postgres, up, valkey
from gateway.embedded.engine import Remote
from gateway.embedded.engine_remains import Home
from gateway.embedded.probes import Tcp

BIN = Path("/opt/pg/bin")


def test_initdb() -> None:
    assert postgres.initdb_argv(BIN, "/proc/self/cwd", 18) == [
        *("/opt/pg/bin/initdb", "-D", "/proc/self/cwd", "--username", "postgres", "--auth", "peer", "--encoding", "UTF8"),
        *("--no-instructions", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
    ]
    assert "--builtin-locale" not in postgres.initdb_argv(BIN, "/data", 16)


def test_single_user_statements_end_at_the_first_error() -> None:
    assert postgres.single_argv(BIN, "/data") == ["/opt/pg/bin/postgres", "--single", "-D", "/data", "-c", "exit_on_error=on", "postgres"]


def test_server() -> None:
    argv = postgres.server_argv(BIN, "/data", Path("/run/d"), Path("/run/d/postgres"), 18)
    assert argv[:3] == ["/opt/pg/bin/postgres", "-D", "/data"]
    assert argv[3::2] == ["-c"] * len(argv[3::2])
    settings = dict(setting.split("=", 1) for setting in argv[4::2])
    assert settings["listen_addresses"] == ""
    assert settings["unix_socket_directories"] == '"/run/d/postgres"'
    assert settings["hba_file"] == "/run/d/pg_hba.conf"
    assert settings["jit"] == "off"
    assert "fsync" not in settings
    assert not any("io_method" in part for part in postgres.server_argv(BIN, "/data", Path("/run/d"), Path("/run/d/postgres"), 16))


def test_identities_quote_the_user() -> None:
    assert postgres.identities('o"dd name') == 'dokploy "o""dd name" dokploy\ndokploy "o""dd name" postgres\n'


def test_valkey_configuration_is_quoted() -> None:
    settings = valkey.settings(Path('/a b/"c"'), Path("/a b/back\\slash/valkey.sock"))
    lines = valkey.configuration(settings).splitlines()
    assert 'port "0"' in lines
    assert 'save ""' in lines
    assert 'unixsocket "/a b/back\\\\slash/valkey.sock"' in lines
    assert 'dir "/a b/\\"c\\""' in lines
    assert valkey.quoted("a\nport 6379") == '"a\\nport 6379"'
    assert valkey.server_argv(Path("/opt/valkey-server"), Path("/run/d/valkey.conf")) == ["/opt/valkey-server", "/run/d/valkey.conf"]


def test_our_own_commands() -> None:
    assert up.migrate_argv(["dokploy"]) == ["dokploy", "migrate"]
    assert up.gateway_argv(["dokploy"], "::1", 80) == ["dokploy", "gateway", "--host", "::1", "--port", "80"]
    assert up.worker_argv(["dokploy"]) == ["dokploy", "worker"]
    assert up.edge_argv(["dokploy"]) == ["dokploy", "edge"]
    assert up.monitor_argv(["dokploy"]) == ["dokploy", "monitor"]
    assert up.url_host("::1") == "[::1]"
    assert up.reachable("0.0.0.0", 80) == Tcp("127.0.0.1", 80)


def test_dockerd_gets_only_flags_for_what_is_unusual() -> None:
    assert engine.dockerd_argv(Home()) == ["dockerd"]
    assert engine.dockerd_argv(Home(socket=Path("/x.sock"), data_root=Path("/x"), flags=("--bridge", "none"))) == [
        *("dockerd", "--host", "unix:///x.sock", "--data-root", "/x", "--bridge", "none"),
    ]


def test_swarm_init() -> None:
    init = ["swarm", "init", "--advertise-addr", "10.0.0.1"]
    assert engine.swarm_argv(Path("/var/run/docker.sock"), "10.0.0.1") == ["docker", "--host", "unix:///var/run/docker.sock", *init]
    assert engine.swarm_argv(Remote(), "10.0.0.1") == ["docker", *init]


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("", Path("/var/run/docker.sock")),
        ("unix:///run/user/1/docker.sock", Path("/run/user/1/docker.sock")),
        ("tcp://[::1]:2375/", Tcp("::1", 2375)),
        ("tcp://engine:2375", Tcp("engine", 2375)),
        ("ssh://somebody@engine", Remote()),
    ],
)
def test_docker_host(named: str, address: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    assert engine.address(named, Home()) == address


def test_what_is_installed() -> None:
    nothing = dict.fromkeys(("dockerd", "docker", "iptables", "git"), False)
    assert engine_install.packages(nothing, separate_cli=False) == ["docker.io", "iptables", "git", "ca-certificates"]
    assert engine_install.packages(nothing, separate_cli=True) == ["docker.io", "docker-cli", "iptables", "git", "ca-certificates"]
    assert engine_install.packages({**nothing, "dockerd": True}, separate_cli=True) == []
    assert engine_install.apt_argvs(["docker.io"]) == [
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "docker.io"],
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ID=debian\n", True), ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', True), ("ID=fedora\n", False), ("", False)],
)
def test_debian_like(text: str, expected: bool) -> None:
    assert engine_install.is_debian_like(text) is expected
