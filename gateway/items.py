"""The items of streams as REST shows them, encoded once for all who follow the same."""

from typing import Any, Final

import msgspec

from schema.context import Context
from schema.shared_results import Shared
from schema.surface import Bound

_encode: Final = msgspec.json.Encoder().encode
_shared: Final[Shared[bytes]] = Shared()


async def encoded(bound: Bound, item: Any, context: Context) -> bytes:
    """An item of a stream through the view of its operation, as JSON."""
    view = bound.view
    if view is None:
        raise TypeError(f"{bound.operation.id} shows nothing")
    found = _shared.get(view, item)
    if found is None:
        found = _encode(await view.show(item, context))
        if view.pure(context):
            _shared.put(view, item, found)
    return found
