"""How senders prove that they know a secret; every comparison takes the same time wherever the difference is."""

import hmac
from hashlib import sha256

_ALGORITHM = "sha256="


def prefixed_digest(given: str, body: bytes, secret: bytes) -> bool:
    """`sha256=` and the HMAC-SHA256 of the body in hexadecimal (GitHub, Bitbucket)."""
    return given.startswith(_ALGORITHM) and plain_digest(given.removeprefix(_ALGORITHM), body, secret)


def plain_digest(given: str, body: bytes, secret: bytes) -> bool:
    """The HMAC-SHA256 of the body in hexadecimal (Gitea, Forgejo)."""
    return hmac.compare_digest(given.encode(), hmac.digest(secret, body, sha256).hex().encode())


def token(given: str, body: bytes, secret: bytes) -> bool:
    """The secret itself (GitLab)."""
    return hmac.compare_digest(given.encode(), secret)
