"""MySQL's commands, to the letter, and what a whole dump looks like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.databases.test_engines import CREDENTIALS, NEW
from workers.databases import MYSQL
from workers.databases.contract import Command, Damaged, Plan, Replace

SECRET = {"MYSQL_PWD": "sEcReT-admin"}
MYSQL_CLIENT = ("mysql", "--default-character-set=utf8mb4", "-h127.0.0.1", "-uroot")
SCRIPT = 'case "$(mysqldump --version)" in *MariaDB*) ;; *) set -- --set-gtid-purged=OFF "$@" ;; esac; exec mysqldump "$@"'
FLAGS = ("--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--no-tablespaces")
WHOLE = b"-- MySQL dump 10.13\n\nINSERT INTO `t` VALUES (1,'-- Dump completed');\n\n-- Dump completed on 2026-11-28 17:00:00\n"


def test_server() -> None:
    assert MYSQL.server(Plan(CREDENTIALS, {}, 1024)) == ("mysqld", "--max-connections=151", "--innodb-buffer-pool-size=256M")
    set_to = {"maxConnections": 20, "sharedBuffers": 64}
    assert MYSQL.server(Plan(CREDENTIALS, set_to, 1024)) == ("mysqld", "--max-connections=20", "--innodb-buffer-pool-size=64M")
    assert MYSQL.environment(CREDENTIALS) == {
        "MYSQL_USER": "app",
        "MYSQL_DATABASE": "shop",
        "MYSQL_PASSWORD_FILE": "/run/secrets/password",
        "MYSQL_ROOT_PASSWORD_FILE": "/run/secrets/root-password",
    }
    assert MYSQL.files(CREDENTIALS) == {"password": "sEcReT-user", "root-password": "sEcReT-admin"}
    ready = "MYSQL_PWD=\"$(cat /run/secrets/root-password)\" mysql -h127.0.0.1 -uroot -NBe 'select 1' >/dev/null"
    assert MYSQL.ready(CREDENTIALS) == ready
    assert MYSQL.url(CREDENTIALS, "db", "x") == "mysql://app:x@db:3306/shop"
    assert MYSQL.volume("8") == "/var/lib/mysql"


def test_dump() -> None:
    dump = MYSQL.dump(CREDENTIALS, True)
    assert dump.command == Command(("sh", "-c", SCRIPT, "mysqldump", *MYSQL_CLIENT[1:], *FLAGS, "shop"), SECRET)
    assert (dump.suffix, dump.compresses, MYSQL.verify) == (".sql", False, None)


def test_restore_goes_into_a_copy_of_the_volume() -> None:
    replace = MYSQL.restore
    assert isinstance(replace, Replace) and replace.empty and replace.load
    assert (replace.copies, replace.server, replace.write) == (True, ("mysqld",), None)
    assert replace.ready(CREDENTIALS) == Command((*MYSQL_CLIENT, "-NBe", "select 1"), SECRET)
    emptied = replace.empty(CREDENTIALS)
    assert (emptied.argv[:2], emptied.argv[3:], emptied.secrets) == (("sh", "-c"), ("sh", "shop", *MYSQL_CLIENT[1:]), SECRET)
    assert "drop database if exists" in emptied.argv[2]
    for foreign in (False, True):
        assert replace.load(CREDENTIALS, foreign) == Command((*MYSQL_CLIENT, "--comments", "shop"), SECRET)


def test_rotation_is_told_by_standard_input() -> None:
    assert MYSQL.rotate is not None
    assert MYSQL.rotate(CREDENTIALS, NEW) == Command(MYSQL_CLIENT, SECRET, f"alter user 'app'@'%' identified by '{NEW}';\n")


def inspected(*chunks: bytes) -> bool:
    """Whether it is found whole."""
    assert MYSQL.inspect is not None
    inspection = MYSQL.inspect()
    for chunk in chunks:
        inspection.feed(chunk)
    try:
        inspection.finish()
    except Damaged:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (WHOLE, True),
        (b"x" * 5000 + b"\n" + WHOLE, True),
        (b"-- Dump completed\n", True),
        (WHOLE + b"\n\n", True),
        (b"", False),
        (b"\n", False),
        (WHOLE + b"-- MySQL dump 10.13\n", False),
        (WHOLE.replace(b"\n", b" ") + b"\n", False),
        (b"x" * 5000 + b"-- Dump completed on " + b"9" * 490 + b"\n", False),
    ],
)
def test_a_dump_is_whole_when_its_last_line_says_so(text: bytes, whole: bool) -> None:
    assert inspected(text) is whole


def test_a_dump_cut_anywhere_is_not_whole() -> None:
    assert not [at for at in range(len(WHOLE)) if inspected(WHOLE[:at])]


@given(st.integers(0, 1500), st.lists(st.integers(0, 700), max_size=20))
def test_how_it_comes_does_not_matter(before: int, sizes: list[int]) -> None:
    text = b"y" * before + b"\n" + WHOLE
    chunks, at = [], 0
    for size in sizes:
        chunks.append(text[at : at + size])
        at += size
    assert inspected(*chunks, text[at:])
    assert not inspected(*chunks, text[at:-1]) or at >= len(text)
