"""What the floors above may ask of the workers. It stores wishes and rings for them; it imports no stage, no Docker and no git."""

from workers.databases import ENGINES
from workers.databases import wishes as database_wishes
from workers.databases.contract import megabytes
from workers.databases.credentials import database_url
from workers.databases.uploads import upload_backup
from workers.facts import Busy, Contradiction, Impossible
from workers.line import Place, places
from workers.outgoing import Unreachable, pinned
from workers.service_spec import reserved
from workers.wishes import cancel, plan_change, remove, restart, ring_change, roll_back, scale, start_deployment, start_pushed

__all__ = [
    "ENGINES",
    "Busy",
    "Contradiction",
    "Impossible",
    "Place",
    "Unreachable",
    "cancel",
    "database_url",
    "database_wishes",
    "megabytes",
    "pinned",
    "places",
    "plan_change",
    "remove",
    "reserved",
    "restart",
    "ring_change",
    "roll_back",
    "scale",
    "start_deployment",
    "start_pushed",
    "upload_backup",
]
