"""What the objects and files of backups are called."""

import re
from typing import Final
from uuid import UUID

from models import DatabaseBackup

GZIP_SUFFIX: Final = ".gz"


def object_name(installation: str | UUID, backup: DatabaseBackup, epoch: int, suffix: str) -> str:
    """What an attempt's object is called: by the database, the backup and the attempt, and as what it is. An upload is the attempt 0."""
    return f"{installation}/{backup.database_id}/{backup.id}-{epoch}{suffix}"


def file_name(row: DatabaseBackup, object_name: str) -> str:
    """What a backup is called when it is downloaded."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", row.name).strip("-.") or "backup"
    return plain + object_name[object_name.index(".") :]
