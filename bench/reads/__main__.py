"""Reads of the product beside a hand-written handler, stock resolvers, FastAPI with SQLAlchemy, and mercurius.

Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.reads.cases import Case, cases
from bench.reads.contest import Options, Wrong, contest
from bench.reads.data import Data, load
from bench.reads.installation import installed
from bench.reads.report import progress, verdict
from bench.reads.servers import NotServing, Server, installed_node, servers
from bench.reads.signals import orderly

SMALL, LARGE = 20, 1001
"""Deployments of each application: twenty thousand, or a million."""
CASES = ("rest-page", "rest-by-id", "graphql-page", "graphql-by-id", "graphql-levels", "member-page", "idle-page", "stranger-page")
SERVERS = ("product", "handwritten", "stock", "fastapi", "mercurius")


async def measure(options: argparse.Namespace) -> bool:
    """Load the data and hold every contest that was asked for; whether every bound holds."""
    known = servers()
    wanted = {name: known[name] for name in options.servers}
    if "mercurius" in wanted and not wanted["mercurius"].missing and not await installed_node():
        print("SKIPPED: mercurius: npm could not install its packages")
        del wanted["mercurius"]
    for server in [each for each in wanted.values() if each.missing]:
        print(f"SKIPPED: {server.name}: not on this machine: {server.missing}")
        del wanted[server.name]
    async with installed() as directory:
        progress("loading the data")
        data = await load(LARGE if options.large else SMALL)
        chosen = [case for case in cases(data) if options.only in (None, case.name)]
        held = [await _held(case, data, wanted, options, directory) for case in chosen]
    return all(held)


async def _held(case: Case, data: Data, wanted: Mapping[str, Server], options: argparse.Namespace, logs: Path) -> bool:
    """Whether the bounds of one case hold; they do not where a server fails."""
    try:
        return await contest(case, data.tokens[case.person], wanted, Options(options.rounds, options.seconds), logs)
    except (Wrong, NotServing) as error:
        return verdict(False, case.title, str(error))


def main() -> int:
    """Read the options; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="a million deployments instead of twenty thousand")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each server in each case (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each of them lasts (default 3)")
    parser.add_argument("--only", choices=CASES, help="one case instead of all")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=SERVERS, help="some servers instead of all")
    options = parser.parse_args()
    return orderly(measure(options))


if __name__ == "__main__":
    sys.exit(main())
