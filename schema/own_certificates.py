"""Certificates that somebody brings along: whether one can be served for a name, and until when."""

from datetime import UTC, datetime
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from schema.inputs import refuse

_WORD = "certificate"


def checked(chain: str | None, key: str | None, domain: str, now: datetime | None = None) -> datetime:
    """The end of a certificate in PEM, with its intermediates, which is good for a domain and belongs to the key.

    Raises `ValidationFailed`.
    """
    if chain is None or key is None:
        refuse("certificateChain" if chain is None else "privateKey", "required", "is required with the certificate 'own'")
    leaf = _leaf(chain)
    if not any(_covers(name, domain) for name in _names(leaf)):
        _refuse(f"is not for {domain}")
    if leaf.not_valid_after_utc <= (now or datetime.now(UTC)):
        _refuse("has expired")
    if _public(leaf.public_key()) != _public(_private(key).public_key()):
        refuse("privateKey", _WORD, "does not belong to the certificate")
    return leaf.not_valid_after_utc


def _refuse(words: str) -> NoReturn:
    refuse("certificateChain", _WORD, words)


def _leaf(chain: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(chain.encode())[0]
    except (ValueError, IndexError):
        _refuse("must be certificates in PEM, the domain's own first")


def _private(key: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        refuse("privateKey", _WORD, "must be a private key in PEM, without a password")


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return []


def _covers(name: str, domain: str) -> bool:
    """Whether a name of a certificate stands for a domain; a wildcard for exactly one label (RFC 6125, section 6.4.3)."""
    name = name.lower()
    return name == domain or (name.startswith("*.") and name[2:] == domain.partition(".")[2])
