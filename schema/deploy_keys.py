"""Deploy keys: made by the server, of which only the public half is ever shown."""

import strawberry
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import models
from schema.access import Role
from schema.context import Context
from schema.held import held
from schema.resource import Resource

COLUMNS = ["deploy_key", "deploy_key_private", "host_keys", "updated_at"]


@strawberry.type
class DeployKey:
    """The public half of a key (Ed25519, as OpenSSH writes it), to be given to the repository's server."""

    application_id: strawberry.ID
    public_key: str


deploy_key = Resource(
    "deploy_key", path="/applications/{id}/deploy-key", about="Keys by which repositories are read that are not open to everybody."
)


@deploy_key.post("", needs=Role.developer, view="applicationId publicKey")
async def generate(ctx: Context, application: models.Application) -> DeployKey:
    """Make the key by which the source is read over SSH, instead of the one before; the host is asked for its keys anew."""
    row = await held(application)
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    public = f"{public} dokploy-{row.service_name}"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    await row.update_from_dict({"deploy_key": public, "deploy_key_private": {"pem": private}, "host_keys": None}).save(
        update_fields=COLUMNS
    )
    return DeployKey(application_id=strawberry.ID(str(row.id)), public_key=public)


@deploy_key.delete("", needs=Role.developer)
async def remove(ctx: Context, application: models.Application) -> None:
    """Remove the key; the source is read without one from now on."""
    row = await held(application)
    await row.update_from_dict({"deploy_key": None, "deploy_key_private": None, "host_keys": None}).save(update_fields=COLUMNS)
