"""A data set for each database engine with what backups get wrong, changes to it, and a fingerprint by which it is known again.

What belongs to the server and not to the database stays as `write` made it: a backup of a database holds no roles and no users.
"""

from collections.abc import Callable
from typing import Final

from tests.docker.datasets.common import DATABASE, USER, Dataset, Execute
from tests.docker.datasets.mongo import Mongo
from tests.docker.datasets.mysql import Mysql
from tests.docker.datasets.postgres import Postgres
from tests.docker.datasets.redis import Redis

DATASETS: Final[dict[str, Callable[..., Dataset]]] = {"postgres": Postgres, "mysql": Mysql, "redis": Redis, "mongo": Mongo}
"""By engine: its data set, of a way to run commands beside the server, the password of its administrator, and a database's name."""

__all__ = ["DATABASE", "DATASETS", "USER", "Dataset", "Execute", "Mongo", "Mysql", "Postgres", "Redis"]
