"""What the floors above may ask of the workers. It stores wishes and rings for them; it imports no stage, no Docker and no git.

It is loaded when something of it is first asked for: this is also the package of the monitor and the edge, which ring for nobody.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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

_HOMES: Final = {
    "workers.databases": ("ENGINES",),
    "workers.databases.contract": ("megabytes",),
    "workers.databases.credentials": ("database_url",),
    "workers.databases.uploads": ("upload_backup",),
    "workers.facts": ("Busy", "Contradiction", "Impossible"),
    "workers.line": ("Place", "places"),
    "workers.outgoing": ("Unreachable", "pinned"),
    "workers.service_spec": ("reserved",),
    "workers.wishes": (
        *("cancel", "plan_change", "remove", "restart", "ring_change", "roll_back", "scale", "start_deployment", "start_pushed"),
    ),
}
_MODULES: Final = {"database_wishes": "workers.databases.wishes"}


def _load() -> None:
    for module, names in _HOMES.items():
        found = import_module(module)
        globals().update({name: getattr(found, name) for name in names})
    globals().update({name: import_module(module) for name, module in _MODULES.items()})


if not TYPE_CHECKING:  # mypy would believe that the package has any name

    def __getattr__(name: str) -> Any:
        """What is asked for, and with it all the rest, so that nobody waits for that later."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        _load()
        return globals()[name]
