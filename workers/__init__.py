"""What the floors above may ask of the workers. It stores wishes and rings for them; it imports no stage, no Docker and no git."""

from workers.facts import Contradiction, Impossible
from workers.queue import Place, place
from workers.service_spec import reserved
from workers.wishes import plan_change, remove, restart, ring_change, roll_back, scale, start_deployment

__all__ = [
    "Contradiction",
    "Impossible",
    "Place",
    "place",
    "plan_change",
    "remove",
    "reserved",
    "restart",
    "ring_change",
    "roll_back",
    "scale",
    "start_deployment",
]
