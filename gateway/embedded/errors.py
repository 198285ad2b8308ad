"""What can be wrong with the machine or the directory; each class docstring is its default message."""


class EmbeddedError(Exception):
    """The embedded stack cannot run."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
