"""Databases: the engines, and everything that is done with their servers."""

from collections.abc import Mapping
from typing import Final

from models import DatabaseType
from workers.databases.contract import Engine
from workers.databases.mongodb import MONGODB
from workers.databases.mysql import MYSQL
from workers.databases.postgresql import POSTGRESQL
from workers.databases.redis import REDIS

ENGINES: Final[Mapping[DatabaseType, Engine]] = {each.type: each for each in (POSTGRESQL, MYSQL, MONGODB, REDIS)}
