"""Processes that the tests start: a holder of a stack, `up`, and stand-ins for our commands."""

import asyncio
import http.server
import os
import sys
import time
from pathlib import Path

from gateway.embedded import up as up_module
from gateway.embedded.stack import Stack


async def hold(data: Path) -> None:
    import asyncpg

    async with Stack(data) as stack:
        connection = await asyncpg.connect(stack.database_url)
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        await connection.close()
        sys.stdout.write(f"{stack.database_url}\n")
        sys.stdout.flush()
        await asyncio.sleep(60)


async def up(data: Path) -> int:
    async def no_engine(*_: object, **__: object) -> None:
        return None

    up_module.ensure_engine = no_engine  # type: ignore[assignment]
    return await up_module.up(data, "127.0.0.1", 0, cli=(sys.executable, __file__))


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> int:
    match sys.argv[1:]:
        case ["hold", data]:
            asyncio.run(hold(Path(data)))
        case ["up", data]:
            return asyncio.run(up(Path(data)))
        case ["migrate"]:
            return int(os.environ.get("TEST_FAIL", "0"))
        case ["gateway", "--host", host, "--port", port]:
            http.server.HTTPServer((host, int(port)), Health).serve_forever()
        case ["worker"] | ["edge"] | ["monitor"]:
            time.sleep(60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
