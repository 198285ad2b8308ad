"""Where backups lie: a folder of this machine or a bucket. Everything here blocks, and holds a few pieces of an object at a time."""

from models.backup_storage.bucket import Bucket
from models.backup_storage.contract import NoObject, NoStorage, Storage, StorageFailed, StorageFull, StorageRefused, StorageUnreachable
from models.backup_storage.folder import Folder
from models.enums import StorageKind
from models.settings import settings

__all__ = ["NoObject", "NoStorage", "Storage", "StorageFailed", "StorageFull", "StorageRefused", "StorageUnreachable", "storage"]


def storage(kind: StorageKind) -> Storage:
    """The storage of a kind, as the settings describe it. Raises `NoStorage` when they have no bucket."""
    configured = settings()
    if kind is StorageKind.local:
        return Folder(configured.backup_directory or configured.data / "backups")
    if configured.backup_s3 is None:
        raise NoStorage
    return Bucket(configured.backup_s3)
