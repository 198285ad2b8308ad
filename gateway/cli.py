"""The command line. Each command is a thin door to the part that does the work."""

import asyncio
import json
import os
import runpy
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import ValidationError

app = App(name="dokploy", help="From a git repository to running containers.", version=version("dokploy"))


@app.command
def up(*, host: str = "127.0.0.1", port: int = 8000, data: Path = Path(".dokploy")) -> int:
    """Run everything in the foreground: embedded Postgres and Valkey, gateway, worker, edge, monitor.

    Parameters
    ----------
    host:
        The address to listen on.
    port:
        The port to listen on.
    data:
        The directory of this installation.
    """
    from gateway.embedded.up import up

    return asyncio.run(up(data, host, port))


@app.command
def gateway(*, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the API. Reads DOKPLOY_DATABASE_URL and DOKPLOY_REDIS_URL.

    Parameters
    ----------
    host:
        The address to listen on.
    port:
        The port to listen on.
    """
    _call("gateway")
    from gateway.persisted import BadList
    from gateway.serve import serve

    try:
        serve(host, port)
    except BadList as error:
        sys.exit(f"dokploy: DOKPLOY_GRAPHQL_DOCUMENTS: {error}")


@app.command
def worker() -> None:
    """Carry out deployments. Reads DOKPLOY_DATABASE_URL and DOKPLOY_REDIS_URL."""
    _call("worker")
    runpy.run_module("workers", run_name="__main__")


@app.command
def edge() -> None:
    """Keep Caddy serving the applications of this node. Reads DOKPLOY_DATABASE_URL, DOKPLOY_EDGE, DOKPLOY_EDGE_RUNTIME and so on."""
    _call("edge")
    runpy.run_module("workers.edge", run_name="__main__")


@app.command
def monitor() -> None:
    """Measure what runs on this host: what databases say of themselves, and what they take. Reads DOKPLOY_DATABASE_URL."""
    _call("monitor")
    runpy.run_module("workers.monitor", run_name="__main__")


@app.command
def migrate() -> None:
    """Bring the database's schema up to date."""
    _call("migrate")
    from models.database import AWAY, PostgresTooOld, migrate

    try:
        asyncio.run(migrate())
    except PostgresTooOld as error:
        sys.exit(f"dokploy: {error}")
    except AWAY as error:
        sys.exit(f"dokploy: the database of DOKPLOY_DATABASE_URL cannot be reached: {error}")


@app.command
def backup(file: Annotated[str, Parameter(allow_leading_hyphen=True)], *, data: Path | None = None) -> int:
    """Back up the control plane, its database and its keys, sealed by the passphrase of DOKPLOY_PASSPHRASE or one that is asked for.

    Parameters
    ----------
    file:
        Where to; - is standard output.
    data:
        The directory of this installation, else that of DOKPLOY_DATA. Its own database is meant unless DOKPLOY_DATABASE_URL names one.
    """
    from gateway.plane.commands import back_up

    _use(data)
    return back_up(file)


@app.command
def restore(file: Annotated[str, Parameter(allow_leading_hyphen=True)], *, replace: bool = False, data: Path | None = None) -> int:
    """Restore the control plane from a backup, into an empty database, while nothing else runs on it.

    Parameters
    ----------
    file:
        Where from; - is standard input.
    replace:
        Replace everything that is in the database.
    data:
        The directory of this installation, else that of DOKPLOY_DATA. Its own database is meant unless DOKPLOY_DATABASE_URL names one.
    """
    from gateway.plane.commands import restore

    _use(data)
    return restore(file, replace=replace)


@app.command
def openapi() -> None:
    """Print the OpenAPI document."""
    from gateway.openapi import document
    from schema.surface import surface

    _print(json.dumps(document(surface()), indent=2))


@app.command
def graphql_schema() -> None:
    """Print the GraphQL schema."""
    from schema.surface import surface

    _print(surface().schema.as_str())


@app.command
def explain(query: str, *, variables: str = "{}", member: bool = False) -> None:
    """Print what a GraphQL query is compiled to: its SQL and the function that shows the rows.

    Parameters
    ----------
    query:
        The document.
    variables:
        Its variables, as a JSON object.
    member:
        As it runs for somebody who sees some projects only, not for an owner or admin.
    """
    from schema.documents.refused import Refused
    from schema.errors import ValidationFailed
    from schema.explain import explained
    from schema.plan.build import Sight
    from schema.surface import surface

    try:
        _print(explained(surface().catalog, query, json.loads(variables), Sight.some if member else Sight.everything))
    except ValidationFailed as error:
        sys.exit(f"dokploy: {'; '.join(problem['message'] for problem in error.problems)}")
    except (Refused, ValueError) as error:
        sys.exit(f"dokploy: {error}")


@app.command
def doctor() -> int:
    """Check each need of this installation, and say how to meet those that are not met."""
    from gateway.embedded.doctor import examine

    return asyncio.run(examine())


@app.command
def demo(*, keep: bool = False, data: Path = Path(".dokploy/demo")) -> int:
    """Show the main job: from a git repository to a running container, twice, and once to a build that fails.

    Parameters
    ----------
    keep:
        Leave everything running at the end.
    data:
        The directory of the demo's installation.
    """
    from gateway.demo.play import demo

    return asyncio.run(demo(data, keep=keep))


@app.command
def test(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)], full: bool = False) -> int:
    """Run the whole test suite in its tiers.

    Parameters
    ----------
    arguments:
        What pytest is given besides.
    full:
        Also the long forms.
    """
    from gateway.embedded.suite import run_tests

    return asyncio.run(run_tests(arguments, full=full))


def _use(data: Path | None) -> None:
    """Have the settings say that this is the directory of the installation."""
    if data is not None:
        os.environ["DOKPLOY_DATA"] = str(data)


def _call(name: str) -> None:
    """Have the sessions in Postgres say which process theirs is."""
    os.environ.setdefault("PGAPPNAME", f"dokploy {name}")


def _print(text: str) -> None:
    print(text)  # noqa: T201


def main() -> None:
    """Run the command that was asked for; a setting that makes no sense is said in one line."""
    try:
        app()
    except ValidationError as error:
        problems = "; ".join(f"DOKPLOY_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors())
        sys.exit(f"dokploy: {problems}")


if __name__ == "__main__":
    main()
