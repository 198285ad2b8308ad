"""A domain from the first request to a page in a browser: curl asks for everything, Chromium opens the page over TLS."""

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.clients.programs import ran, unavailable
from tests.docker.house import House
from tests.docker.installation import Installation, eventually
from tests.docker.sample import Sample

NAME = "hello.example.com"

pytestmark = pytest.mark.docker


async def curl(installation: Installation, method: str, path: str, body: Any = None) -> Any:
    """What the API answers to curl."""
    headers = ["-H", f"Authorization: Bearer {installation.owner.token}", "-H", "Content-Type: application/json"]
    data = [] if body is None else ["--data", json.dumps(body)]
    lines = await ran(
        "curl", "-sS", "--fail-with-body", "-X", method, *headers, *data, f"{installation.url}/api{path}", cwd=Path.cwd(), within=20
    )
    return json.loads("\n".join(lines) or "null")


def fingerprint(authority: Path) -> str:
    """By which Chromium is told to trust an authority."""
    key = x509.load_pem_x509_certificate(authority.read_bytes()).public_key()
    return base64.b64encode(hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()).decode()


async def opened(chromium: str, name: str, port: str, trusted: str, folder: Path) -> str:
    """The document that a browser has of a name, whose certificate it checks against one authority."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", "--dump-dom"]
    folder.mkdir()
    leads = f"--host-resolver-rules=MAP {name} 127.0.0.1"
    trust = f"--ignore-certificate-errors-spki-list={trusted}"
    return "\n".join(await ran(chromium, *options, leads, trust, f"https://{name}:{port}/", cwd=folder, within=60))


async def test_an_application_made_with_curl_is_opened_by_its_domain_over_tls(
    house: House, sample: Sample, installation: Installation, tmp_path: Path
) -> None:
    chromium = shutil.which("chromium") or unavailable("NO CHROMIUM: there is no chromium on this machine")
    shutil.which("curl") or unavailable("NO CURL: there is no curl on this machine")
    sample.commit(index="<!doctype html><title>Hello</title><p>opened by its name</p>")
    asked = {"name": "hello", "projectId": await house.project(), "ports": [{"containerPort": 8080}], "gitSource": sample.source}
    made = await curl(installation, "POST", "/applications", asked)
    app = await house.adopted(made)
    deployment = (await curl(installation, "POST", f"/applications/{app.id}/deploy", {}))["deploymentId"]
    await curl(installation, "POST", f"/applications/{app.id}/domains", {"domain": NAME, "certificate": "internal"})
    assert (await installation.ended(deployment))["status"] == "success"

    async def valid() -> bool:
        (domain,) = (await curl(installation, "GET", f"/applications/{app.id}/domains"))["data"]
        return bool(domain["certificateStatus"] == "valid")

    await eventually(valid, within=15, every=0.5)
    authority = installation.stack.directory.path / "caddy/caddy/pki/authorities/local/intermediate.crt"
    port = installation.environment["DOKPLOY_EDGE_PORTS"].partition("-")[2]
    assert "opened by its name" in await opened(chromium, NAME, port, fingerprint(authority), tmp_path / "browser")
    stranger = base64.b64encode(hashlib.sha256(b"somebody else").digest()).decode()
    assert "opened by its name" not in await opened(chromium, NAME, port, stranger, tmp_path / "other")
