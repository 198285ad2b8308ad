#!/usr/bin/python3
"""mongod stand-in: SecantusDB behind those options of mongod that the tests use.

Its first start with --auth creates the root user that the environment names, as the entrypoint of the official image does.
"""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from pymongo import MongoClient
from secantus.server import SecantusDBServer


def serve(args: argparse.Namespace, host: str, port: int, auth: bool) -> SecantusDBServer:
    """Start a server on the data directory."""
    server = SecantusDBServer(
        host=host,
        port=port,
        storage_path=args.dbpath,
        require_auth=auth,
        replica_set_name=None,
        max_connections=args.maxConns,
        cache_size=f"{int(args.wiredTigerCacheSizeGB * 1024)}M",
    )
    server.start()
    return server


def create_root(args: argparse.Namespace, name: str, password: str) -> None:
    """Create the root user through a server that only this process can find."""
    server = serve(args, "127.0.0.1", 0, auth=False)
    with MongoClient(server.uri) as client:
        client.admin.command("createUser", name, pwd=password, roles=[{"role": "root", "db": "admin"}])
    server.stop()


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="mongod", allow_abbrev=False)
    parser.add_argument("--auth", action="store_true")
    parser.add_argument("--bind_ip_all", action="store_true")
    parser.add_argument("--port", type=int, default=27017)
    parser.add_argument("--dbpath", default="/data/db")
    parser.add_argument("--wiredTigerCacheSizeGB", type=float, default=0.25)
    parser.add_argument("--maxConns", type=int, default=65536)
    args = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    name = os.environ.get("MONGO_INITDB_ROOT_USERNAME")
    if name and not (Path(args.dbpath) / "WiredTiger").exists():
        create_root(args, name, os.environ["MONGO_INITDB_ROOT_PASSWORD"])
    server = serve(args, "0.0.0.0" if args.bind_ip_all else "127.0.0.1", args.port, args.auth)

    def stop(*_: object) -> None:
        server.stop()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.wait()


main()
