"""Memory of the gateway after ten thousand GraphQL documents, no two of them alike.

Prints what was measured beside its bound; the exit status is 1 when it is missed. See README.md.
"""

import argparse
import os
import sys
import time

import httpx2
import psutil  # type: ignore[import-untyped]

from bench.reads.contest import Wrong
from bench.reads.data import load
from bench.reads.installation import installed
from bench.reads.report import progress, table, verdict
from bench.reads.servers import servers, serving
from bench.reads.signals import orderly

WARMUP, DOCUMENTS = 200, 10_000
MOST = 30.0
"""MiB."""
FIELDS = ("name", "projectId", "image", "status", "replicas", "healthStatus", "createdAt", "updatedAt")


def document(number: int) -> str:
    """The document of this number: a list or a tree, some fields, and names that no other one has."""
    fields = " ".join(field for bit, field in enumerate(FIELDS) if number >> bit & 1)
    list_ = f"applications(first: {1 + number % 3}) {{ nodes {{ id{number}: id {fields} }} totalCount }}"
    return f"{{ list{number}: {list_} }}" if number % 2 else f"{{ projects(first: 1) {{ nodes {{ id list{number}: {_nested(list_)} }} }} }}"


def _nested(list_: str) -> str:
    return list_.replace("totalCount", "pageInfo { hasNextPage }")


async def measure() -> bool:
    """Send them one after the other; whether the bound holds. Raises `Wrong`."""
    async with installed() as directory:
        data = await load(1)
        async with serving(servers()["product"], directory) as product:
            headers = {"Authorization": f"Bearer {data.tokens['owner']}"}
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{product.port}", headers=headers, timeout=30) as client:
                for number in range(WARMUP):
                    await _send(client, number)
                before, began = _mebibytes(product.child.pid), time.monotonic()
                for number in range(WARMUP, WARMUP + DOCUMENTS):
                    await _send(client, number)
                    if number % 1000 == 0:
                        progress(f"{number} documents: {_mebibytes(product.child.pid):.1f} MiB")
                took, after = time.monotonic() - began, _mebibytes(product.child.pid)
    print(f"\nResident memory of the gateway, {DOCUMENTS} distinct documents after the first {WARMUP}")
    figures = (f"{before:.1f}", f"{after:.1f}", f"{1000 * took / DOCUMENTS:.2f}", f"{os.getloadavg()[0]:.2f}")
    table([("before MiB", "after MiB", "ms each", "load"), figures])
    return verdict(after - before <= MOST, f"grown by ≤ {MOST:g} MiB", f"{after - before:.1f} MiB")


async def _send(client: httpx2.AsyncClient, number: int) -> None:
    answer = await client.post("/api/graphql", json={"query": document(number)})
    if answer.status_code != 200 or "errors" in answer.json():
        raise Wrong(f"{document(number)}: {answer.status_code} {answer.text[:400]}")


def _mebibytes(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def main() -> int:
    """There are no options; the exit status."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    return orderly(measure())


if __name__ == "__main__":
    sys.exit(main())
