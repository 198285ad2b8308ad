"""A real server that speaks S3 (SeaweedFS), and how a bucket of it is described in the settings."""

import json
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.embedded.up import free_port
from models.backup_storage.bucket import Bucket
from models.backup_storage.contract import StorageFailed
from models.s3 import S3

HOST = "127.0.0.1"
SECRET = "aVerySecretAccessKey"
ADMIN = "theAdmin"
WRITER = "theWriter"
"""Somebody who may do anything but make buckets."""
IDENTITIES = {
    "identities": [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": SECRET}], "actions": actions}
        for name, actions in ((ADMIN, ["Admin"]), (WRITER, ["Read", "Write", "List"]))
    ]
}
PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc")


class Server:
    """The server, with one bucket, `backups`."""

    def __init__(self, port: int, filer: int) -> None:
        self.endpoint = f"http://{HOST}:{port}"
        self.filer = f"http://{HOST}:{filer}"
        """Where its own file system is shown, which holds what S3 does not list."""

    def settings(self, **changes: Any) -> dict[str, Any]:
        """What describes the bucket, as JSON holds it."""
        described = {"bucket": "backups", "endpoint": self.endpoint, "accessKeyId": WRITER, "secretAccessKey": SECRET}
        return described | changes

    def bucket(self, **changes: Any) -> Bucket:
        """The bucket, or another one."""
        return Bucket(S3.model_validate_json(json.dumps(self.settings(**changes))))

    def wait(self, within: float = 60) -> None:
        """Wait until the bucket is there: an admin makes it by writing into it."""
        ends = time.monotonic() + within
        while True:
            try:
                self.bucket(accessKeyId=ADMIN).write("ready", [b"ready"])
            except StorageFailed:
                assert time.monotonic() < ends, "SeaweedFS does not start"
                time.sleep(0.2)
            else:
                return


@pytest.fixture(scope="session")
def s3() -> Iterator[Server]:
    """One server for all tests: to start it takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="dk-s3-"))
    (folder / "data").mkdir()
    (folder / "identities.json").write_text(json.dumps(IDENTITIES))
    ports = {name: free_port(HOST, 0) for name in PORTS}
    options = [f"-{name}={port}" for name, port in ports.items()]
    options += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder}/identities.json", f"-s3.localSocket={folder}/s3.sock"]
    options += ["-volume.max=100", "-volume.minFreeSpace=1", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]
    options += [f"-dir={folder}/data", f"-ip={HOST}", f"-ip.bind={HOST}", "-filer", f"-filer.localSocket={folder}/filer.sock", "-s3"]
    argv = [f"{sysconfig.get_path('scripts')}/weed", f"-logdir={folder}", "server", *options]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder) as process:
        try:
            server = Server(ports["s3.port"], ports["filer.port"])
            server.wait()
            yield server
        finally:
            process.kill()  # it would end by itself, too, but not within ten seconds
    shutil.rmtree(folder, ignore_errors=True)
    for name, port in ports.items():  # sockets that it leaves behind, in a place of its own choice
        Path(f"/tmp/seaweedfs-{name.partition('.')[0]}-grpc-{port}.sock").unlink(missing_ok=True)
