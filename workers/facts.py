"""Why a wish cannot be taken: facts about the state of things, which the API turns into its errors."""


class Impossible(Exception):
    """The wish cannot be carried out as the thing stands."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Busy(Exception):
    """As many deployments wait as may: ask again later."""

    def __init__(self) -> None:
        super().__init__(self.__class__.__doc__)


class Contradiction(Exception):
    """The wish contradicts the present state."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
