"""Certificates that somebody brings along: whether one can be served for a name, and until when."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from cryptography.x509.oid import PublicKeyAlgorithmOID

from models.certificates import names_of, stands_for
from schema.inputs import refuse

_WORD = "certificate"
_ALGORITHMS = frozenset({PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5, PublicKeyAlgorithmOID.EC_PUBLIC_KEY, PublicKeyAlgorithmOID.ED25519})
_SMALLEST, _LARGEST = 2048, 8192
_ODD = (ValueError, TypeError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class Own:
    """A certificate with its intermediates and its key, in PEM of our own writing: nothing stands beside them."""

    chain: str
    key: str = field(repr=False)
    ends: datetime


def checked(chain: str | None, key: str | None, domain: str, now: datetime | None = None) -> Own:
    """A certificate in PEM, with its intermediates, which is good for a domain and for no other, and belongs to the key.

    Raises `ValidationFailed`.
    """
    if chain is None or key is None:
        refuse("certificateChain" if chain is None else "privateKey", _WORD, "is required with the certificate 'own'")
    now = now or datetime.now(UTC)
    private = _private(key)
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
        leaf = certificates[0]
        names, public = names_of(leaf), _public(leaf.public_key())
        served = leaf.public_key_algorithm_oid in _ALGORITHMS
        begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    except (*_ODD, IndexError):
        _refuse("must be certificates in PEM, the domain's own first")
    if not names or not all(stands_for(name, domain) for name in names):
        _refuse(f"must be for {domain} and for no other name")
    if not begins <= now < ends:
        _refuse("is not valid yet" if now < begins else "has expired")
    if not served or public != _public(private.public_key()):
        refuse("privateKey", _WORD, "does not belong to the certificate")
    written = "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)
    return Own(written, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), ends)


def _refuse(words: str) -> NoReturn:
    refuse("certificateChain", _WORD, words)


def _private(key: str) -> PrivateKeyTypes:
    try:
        found = load_pem_private_key(key.encode(), None)
    except _ODD:
        refuse("privateKey", _WORD, "must be a private key in PEM, without a password")
    if not _is_served(found):
        refuse("privateKey", _WORD, "must be an RSA key of 2048 to 8192 bits, an elliptic curve key of P-256, P-384 or P-521, or Ed25519")
    return found


def _is_served(key: PrivateKeyTypes) -> bool:
    """Whether a key is of a kind that is served over TLS."""
    if isinstance(key, rsa.RSAPrivateKey):
        return _SMALLEST <= key.key_size <= _LARGEST
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    return isinstance(key, ed25519.Ed25519PrivateKey)


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
