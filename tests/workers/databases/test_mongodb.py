"""MongoDB's commands, to the letter."""

from tests.workers.databases.test_engines import CREDENTIALS, NEW
from workers.databases import MONGODB
from workers.databases.contract import Command, Plan, Replace

SECRET = {"DOKPLOY_PASSWORD": "sEcReT-user"}
URI = {"DOKPLOY_URI": "mongodb://app:sEcReT-user@127.0.0.1/admin"}
TOOL = (
    'umask 077; f="$(mktemp)"; trap \'rm -f "$f"\' EXIT; printf \'password: "%s"\\n\' "$DOKPLOY_PASSWORD" > "$f"; '
    'unset DOKPLOY_PASSWORD; tool="$1"; shift; "$tool" --config "$f" "$@"'
)
USER = ("--username", "app", "--authenticationDatabase", "admin")


def tool(name: str, *arguments: str) -> Command:
    return Command(("sh", "-c", TOOL, "sh", name, *USER, *arguments), SECRET)


def mongosh(script: str, **secrets: str) -> Command:
    connected = "const admin = new Mongo(process.env.DOKPLOY_URI).getDB('admin'); "
    return Command(("mongosh", "--quiet", "--nodb", "--eval", connected + script), URI | secrets)


def test_server() -> None:
    begins = ("mongod", "--auth", "--bind_ip_all", "--maxConns")
    assert MONGODB.server(Plan(CREDENTIALS, {}, 2048)) == (*begins, "1000", "--wiredTigerCacheSizeGB", "0.75")
    assert MONGODB.server(Plan(CREDENTIALS, {}, 512)) == (*begins, "1000", "--wiredTigerCacheSizeGB", "0.25")
    set_to = {"maxConnections": 20, "sharedBuffers": 512}
    assert MONGODB.server(Plan(CREDENTIALS, set_to, 2048)) == (*begins, "20", "--wiredTigerCacheSizeGB", "0.5")
    assert MONGODB.environment(CREDENTIALS) == {
        "MONGO_INITDB_ROOT_USERNAME": "app",
        "MONGO_INITDB_ROOT_PASSWORD_FILE": "/run/secrets/password",
    }
    assert MONGODB.files(CREDENTIALS) == {"password": "sEcReT-user"}
    ready = 'mongosh --quiet --host "$HOSTNAME" --eval \'quit(db.adminCommand("ping").ok ? 0 : 1)\' >/dev/null'
    assert MONGODB.ready(CREDENTIALS) == ready
    assert MONGODB.url(CREDENTIALS, "db", "x") == "mongodb://app:x@db:27017/shop?authSource=admin"
    assert MONGODB.volume("8") == "/data/db"


def test_dump() -> None:
    dump = MONGODB.dump(CREDENTIALS, True)
    assert dump.command == tool("mongodump", "--db", "shop", "--archive", "--quiet")
    assert (dump.suffix, dump.compresses, MONGODB.verify) == (".archive", False, None)


def test_restore_goes_into_a_copy_of_the_volume() -> None:
    replace = MONGODB.restore
    assert isinstance(replace, Replace) and replace.empty and replace.load
    assert (replace.copies, replace.write) == (True, None)
    assert replace.server == ("mongod", "--auth", "--wiredTigerCacheSizeGB", "0.25")
    assert replace.ready(CREDENTIALS) == mongosh("quit(admin.runCommand({ping: 1}).ok ? 0 : 1)")
    assert replace.empty(CREDENTIALS) == mongosh("admin.getSiblingDB('shop').dropDatabase()")
    load = ("--archive", "--drop", "--quiet", "--stopOnError")
    assert replace.load(CREDENTIALS, False) == tool("mongorestore", *load)
    renamed = ("--nsFrom", "$db$.$collection$", "--nsTo", "shop.$collection$")
    assert replace.load(CREDENTIALS, True) == tool("mongorestore", *load, *renamed)


def test_rotation_has_the_new_password_in_a_variable() -> None:
    assert MONGODB.rotate is not None
    script = "admin.changeUserPassword('app', process.env.DOKPLOY_PASSWORD)"
    assert MONGODB.rotate(CREDENTIALS, NEW) == mongosh(script, DOKPLOY_PASSWORD=NEW)
