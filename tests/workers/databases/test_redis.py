"""Redis's commands, to the letter."""

from tests.workers.databases.test_engines import CREDENTIALS
from workers.databases import REDIS
from workers.databases.contract import Command, Plan, Replace

SECRET = {"REDISCLI_AUTH": "sEcReT-user"}
MADE = 'umask 077; f="$(mktemp)"; trap \'rm -f "$f"\' EXIT; '


def test_server() -> None:
    begins = ("redis-server", "/run/secrets/redis.conf", "--maxclients")
    assert REDIS.server(Plan(CREDENTIALS, {}, 64)) == (*begins, "10000", "--maxmemory", "48mb", "--maxmemory-policy", "noeviction")
    set_to = {"maxConnections": 20, "maxMemory": 16, "maxMemoryPolicy": "allkeys-lru"}
    assert REDIS.server(Plan(CREDENTIALS, set_to, 64)) == (*begins, "20", "--maxmemory", "16mb", "--maxmemory-policy", "allkeys-lru")
    assert REDIS.environment(CREDENTIALS) == {}
    lines = "requirepass sEcReT-user\nappendonly yes\ndir /data\nrepl-diskless-sync-delay 0\n"
    assert REDIS.files(CREDENTIALS) == {"redis.conf": lines}
    ready = "REDISCLI_AUTH=\"$(sed -n 's/^requirepass //p' /run/secrets/redis.conf)\" redis-cli ping | grep -qx PONG"
    assert REDIS.ready(CREDENTIALS) == ready
    assert REDIS.url(CREDENTIALS, "db", "x") == "redis://app:x@db:6379/0"
    assert REDIS.volume("8") == "/data"


def test_dump() -> None:
    dump = REDIS.dump(CREDENTIALS, True)
    assert dump.command == Command(("sh", "-c", MADE + 'redis-cli --rdb "$f" >&2 && cat "$f"'), SECRET)
    assert (dump.suffix, dump.compresses) == (".rdb", False)
    assert REDIS.verify == Command(("sh", "-c", MADE + 'cat > "$f" && redis-check-rdb "$f" >&2'))


def test_restore_writes_into_a_fresh_volume_before_a_server_starts() -> None:
    replace = REDIS.restore
    assert isinstance(replace, Replace) and replace.write
    assert (replace.copies, replace.empty, replace.load) == (False, None, None)
    assert replace.server == ("redis-server", "--appendonly", "yes", "--dir", "/data")
    assert replace.ready(CREDENTIALS) == Command(("sh", "-c", "redis-cli ping | grep -qx PONG"))
    shell, flag, script = replace.write.argv
    assert (shell, flag, replace.write.secrets) == ("sh", "-c", {})
    assert script.strip().splitlines() == [
        "set -e",
        "mkdir -p appendonlydir",
        "cat > appendonlydir/appendonly.aof.1.base.rdb",
        "redis-check-rdb appendonlydir/appendonly.aof.1.base.rdb >&2",
        "echo 'file appendonly.aof.1.base.rdb seq 1 type b' > appendonlydir/appendonly.aof.manifest",
        "chown -R 999:999 .",
    ]


def test_its_password_is_in_a_file_alone() -> None:
    assert REDIS.rotate is None
