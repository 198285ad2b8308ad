"""The data set of Redis."""

from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from tests.docker.datasets.common import BLOBS, DATABASE, TEXTS, Execute, noise, script

FAR: Final = 4_102_444_800_123
"""An hour of the year 2100, in milliseconds."""
FUNCTIONS: Final = "#!lua name=shop\nredis.register_function('twice', function(keys, args) return 2 * args[1] end) -- ünïcödé"


@dataclass(frozen=True)
class Redis:
    """Of the default user, in the databases 0 and 3."""

    execute: Execute
    password: str
    database: str = DATABASE
    """Which the other engines have."""

    async def write(self) -> None:
        commands: list[tuple[str | bytes | float, ...]] = [("SET", f"text:{number}", text) for number, text in enumerate(TEXTS)]
        commands += [("SET", f"blob:{number}", blob) for number, blob in enumerate(BLOBS)]
        commands += [
            ("SET", b"key \x00\xff\r\n'\"\\ \xf0\x9f\x90\x98", "a binary key"),
            ("SET", "", "the empty key"),
            ("SET", "int", -(2**63)),
            ("INCRBYFLOAT", "float", "3.0e-200"),
            ("SETBIT", "bits", 100_000, 1),
            ("PFADD", "hyperloglog", *range(2000)),
            ("SET", "expires", "x", "PXAT", FAR),
            ("SET", "expires at once after that", "x", "PXAT", FAR + 1),
            ("HSET", "hash:small", "field", "value", b"\x00", b"\xff", "ü", "", "", "empty"),
            ("HSET", "hash:large", *(part for n in range(2000) for part in (f"field {n}", "v" * (n % 100)))),
            ("PEXPIREAT", "hash:large", FAR),
            ("RPUSH", "list:small", "b", "a", "b", "", b"\x00"),
            ("RPUSH", "list:large", *(f"{n} " * (n % 50) for n in range(3000)), BLOBS[-1]),
            ("SADD", "set:int", *range(-100, 100), 2**62),
            ("SADD", "set:text", *TEXTS, *BLOBS),
            ("SADD", "set:large", *(f"member {n}" for n in range(2000))),
            (
                "ZADD",
                "sorted:small",
                "-inf",
                "low",
                "+inf",
                "high",
                "1e-300",
                "tiny",
                "0.1",
                "a",
                "0.1",
                "b",
                "17976931348623157e292",
                b"\x00",
            ),
            ("ZADD", "sorted:large", *(part for n in range(2000) for part in (n / 7, f"member {n}"))),
            ("GEOADD", "places", 13.4, 52.5, "Berlin", -180, -85.05, "corner"),
            ("XADD", "stream", "1-1", "field", "value", b"\x00", b"\xff", "field", "again"),
            ("XADD", "stream", "2-0", "deleted", "entry"),
            ("XADD", "stream", "18446744073709551615-1", "last", ""),
            ("XDEL", "stream", "2-0"),
            ("XGROUP", "CREATE", "stream", "group ü", "0", "ENTRIESREAD", 0),
            ("XREADGROUP", "GROUP", "group ü", "consumer", "COUNT", 1, "STREAMS", "stream", ">"),
            ("XGROUP", "CREATECONSUMER", "stream", "group ü", "idle"),
            ("XADD", "stream:trimmed", "MAXLEN", 1, "5-0", "a", "b"),
            ("XTRIM", "stream:trimmed", "MAXLEN", 0),
            ("FUNCTION", "LOAD", "REPLACE", FUNCTIONS),
            ("SELECT", 3),
            ("SET", "text:0", "in another database"),
            ("RPUSH", "expiring list", 1, 2, 3),
            ("PEXPIREAT", "expiring list", FAR + 2),
        ]
        await self.send(commands)

    async def change(self) -> None:
        await self.send(
            [
                ("DEL", "text:3", "hash:small", "stream:trimmed"),
                ("APPEND", "text:9", " "),
                ("SETRANGE", f"blob:{len(BLOBS) - 1}", 700_000, "changed"),
                ("PERSIST", "expires"),
                ("PEXPIREAT", "expires at once after that", FAR + 2),
                ("PEXPIREAT", "int", FAR),
                ("HINCRBY", "hash:large", "count", 1),
                ("LSET", "list:small", 0, "a"),
                ("SREM", "set:int", 0),
                ("ZINCRBY", "sorted:small", "1e-17", "a"),
                ("XADD", "stream:later", "1-0", "a", "b"),
                ("XACK", "stream", "group ü", "1-1"),
                ("FUNCTION", "DELETE", "shop"),
                ("SET", "added later", "x"),
                ("SELECT", 3),
                ("DEL", "expiring list"),
                ("SELECT", 5),
                ("SET", "added later", "in a new database"),
            ]
        )

    async def fingerprint(self, *, ownership: bool = True) -> str:
        functions = await self._cli("FUNCTION", "LIST", "WITHCODE")
        return (functions + await self._cli("EVAL", script("redis-fingerprint.lua"), "0")).decode()

    async def grow(self, mebibytes: int) -> None:
        for texts in noise(mebibytes):
            await self.send([("SET", f"grown:{token_hex(8)}", text) for text in texts])

    async def shrink(self) -> None:
        await self._cli("EVAL", "return redis.call('DEL', unpack(redis.call('KEYS', 'grown:*')))", "0")

    async def send(self, commands: list[tuple[str | bytes | float, ...]]) -> None:
        """Have many commands done."""
        stdin = b"".join(b"*%d\r\n%s" % (len(command), b"".join(map(_bulk, command))) for command in commands)
        said = await self._cli("--pipe", stdin=stdin)
        assert f"errors: 0, replies: {len(commands)}\n" in said.decode(), said

    async def _cli(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return await self.execute(["redis-cli", "-e", "--raw", *arguments], {"REDISCLI_AUTH": self.password}, stdin)


def _bulk(value: str | float | bytes) -> bytes:
    data = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)
