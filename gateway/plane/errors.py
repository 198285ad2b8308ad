"""What can be wrong around the file; each class docstring is its default message."""

from models.plane.errors import PlaneError


class NoPassphrase(PlaneError):
    """There is no passphrase: set DOKPLOY_PASSPHRASE, or run this at a terminal, where it is asked for."""


class ShortPassphrase(PlaneError):
    """A passphrase has 12 characters or more."""


class Unequal(PlaneError):
    """The two passphrases are not the same."""


class NoFile(PlaneError):
    """There is no such file."""


class Busy(PlaneError):
    """Another backup is being written to this file."""


class NotForTerminals(PlaneError):
    """A backup is nothing to look at: send it to a file or a program."""


class NotWritten(PlaneError):
    """What was read back is not what was written: the disk is not to be trusted."""


class NoInstallation(PlaneError):
    """There is no installation here."""
