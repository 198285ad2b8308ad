"""What is said of a certificate, from what is served and from what Caddy tells."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from models import CertificateStatus
from tests.services.test_domains import pem
from workers.edge.certificates import Finding, Told, judged

NOW = datetime.now(UTC)


def certificate() -> x509.Certificate:
    """One that began 90 days ago and ends in 30."""
    return x509.load_pem_x509_certificate(pem("app.example.com")["certificateChain"].encode())


@pytest.mark.parametrize(
    ("days", "status", "error", "said"),
    [
        (0, CertificateStatus.valid, None, None),
        (0, CertificateStatus.valid, "refused", None),
        (9, CertificateStatus.valid, None, None),
        (11, CertificateStatus.expiring, None, None),
        (11, CertificateStatus.expiring, "refused", "refused"),
        (31, CertificateStatus.failed, None, "The certificate has expired."),
        (31, CertificateStatus.failed, "refused", "refused"),
    ],
)
def test_a_certificate_that_is_served(days: int, status: CertificateStatus, error: str | None, said: str | None) -> None:
    found = judged(certificate(), error, NOW + timedelta(days=days))
    assert (found.status, found.error) == (status, said)
    assert found.expires_at == certificate().not_valid_after_utc


def test_none_is_pending_until_there_is_a_reason_why() -> None:
    assert judged(None, None, NOW) == Finding(CertificateStatus.pending)
    assert judged(None, "refused", NOW) == Finding(CertificateStatus.failed, "refused")


def test_what_caddy_tells_is_kept_by_name_and_anything_else_is_not() -> None:
    told = Told()
    for entry in ({"identifier": "a.example.com", "error": "one"}, {"identifier": "a.example.com", "error": "two"}, {"error": "x"}, [1], 7):
        told.datagram_received(json.dumps(entry).encode(), None)
    told.datagram_received(b"{", None)
    assert told.errors == {"a.example.com": "two"}
