"""Room on the disks of databases: what writes there ends before a disk is full, on which servers of others could not go on."""

from dataclasses import replace
from typing import Final

from models.backup_storage.folder import RESERVE as BYTES
from workers.databases.contract import MIB, Command

RESERVE: Final = BYTES // MIB
"""MiB that stay free: a server that finds none at all ends, and may then not even begin again."""
FULL: Final = "DOKPLOY-FULL"
"""What is said on stderr by a command that was ended for it."""
_SCRIPT: Final = f"""
folder="$1"; shift
room() {{ set -- $(stat -f -c '%a %S' "$folder" 2>/dev/null); [ $# -ne 2 ] || [ $(($1 * $2 >> 20)) -ge {RESERVE} ]; }}
room || {{ echo {FULL} >&2; exit 1; }}
(
    while sleep 0.1 && kill -0 $$ 2>/dev/null; do
        room || {{ echo {FULL} >&2; kill 0; }}
    done
) &
exec "$@"
"""
"""Looks before a command begins and then all the time; ends the whole process group, since a command may have begun others."""


def roomy(command: Command, folder: str) -> Command:
    """A command that writes below a folder of its container, for as long as there is room."""
    return replace(command, argv=("sh", "-c", _SCRIPT, "sh", folder, *command.argv))


def no_room() -> tuple[str, str]:
    """The code and the sentence of a command that was ended."""
    return "VOLUME_FULL", f"The disk of the database would be left with less than {RESERVE} MiB."
