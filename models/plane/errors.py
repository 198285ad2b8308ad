"""Why the control plane was not backed up or restored; each class docstring is its default message."""


class PlaneError(Exception):
    """The backup or the restore has failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class NotABackup(PlaneError):
    """This is no backup of an installation."""


class Damaged(PlaneError):
    """The backup is damaged or cut off."""


class WrongPassphrase(PlaneError):
    """The backup was sealed with another passphrase, or its first bytes are damaged."""


class NewerBackup(PlaneError):
    """The backup was made by a newer dokploy than this one."""


class NewerDatabase(PlaneError):
    """The database was made by a newer dokploy than this one."""


class NoTables(PlaneError):
    """No dokploy has made its tables in this database."""


class NotEmpty(PlaneError):
    """The database is not empty; --replace replaces everything in it."""


class InUse(PlaneError):
    """The database is in use."""


class OtherKeys(PlaneError):
    """There are other keys than those of the backup."""


class MissingKeys(PlaneError):
    """The keys of what is in the database are not there."""


class Misfit(PlaneError):
    """The backup does not fit the tables of its migration."""
