"""`python -m workers.choice`: say which docker command line a worker on this machine uses."""

import asyncio
import sys

from workers.docker import NoClient, choose


async def _say() -> int:
    try:
        client = await choose()
    except NoClient as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{client.path} {client.version}, builds with {client.builder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_say()))
