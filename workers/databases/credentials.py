"""The credentials of a database, as they are stored."""

from models import Database
from workers.databases.contract import Credentials


def credentials_of(database: Database) -> Credentials:
    """The credentials by which a database is opened now."""
    stored = database.credentials
    return Credentials(stored["username"], stored["password"], stored["admin_password"], stored["database"])
