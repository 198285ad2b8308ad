"""How the certificates of the domains are: what is really served for each name, and what Caddy says of those that it could not get."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from cryptography import x509

from models import CertificateStatus
from models.certificates import names_of, stands_for
from models.database import AWAY, database

log = structlog.get_logger()

LOOK: Final = 1.0
"""Seconds between two looks for what is due."""
SOON: Final = 2.0
"""Seconds between two looks at a name that is not well; a little more each time, since it may never be."""
SELDOM: Final = 60.0
"""Seconds between two looks at one that is."""
GROWTH: Final = 1.1
PATIENCE: Final = 5.0
"""Seconds for a handshake."""
LAST_PART: Final = 6
"""Caddy renews in the last third of a certificate's time; within the last sixth that must have failed."""

_ANY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_ANY.check_hostname, _ANY.verify_mode = False, ssl.CERT_NONE  # whatever is served, also what nobody trusts, is looked at
_NAMES = "select distinct domain from domain"
_SAY = """
    update domain set certificate_status = $2, certificate_error = $3, expires_at = $4
    where domain = $1 and (certificate_status, certificate_error, expires_at) is distinct from ($2, $3, $4::timestamptz)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """How the certificate of a name is."""

    status: CertificateStatus
    error: str | None = None
    expires_at: datetime | None = None


def judged(certificate: x509.Certificate | None, error: str | None, now: datetime) -> Finding:
    """How it is, from what is served for a name, if anything, and what was said of getting another."""
    if certificate is None:
        return Finding(CertificateStatus.failed, error) if error else Finding(CertificateStatus.pending)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        return Finding(CertificateStatus.failed, "The certificate is not valid yet.", ends)
    if now >= ends:
        return Finding(CertificateStatus.failed, error or "The certificate has expired.", ends)
    if (ends - now) * LAST_PART < ends - begins:
        return Finding(CertificateStatus.expiring, error, ends)
    return Finding(CertificateStatus.valid, None, ends)


async def served(name: str, host: str, port: int) -> x509.Certificate | None:
    """The certificate that is served for a name; None for none."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port, ssl=_ANY, server_hostname=name)
    except (OSError, TimeoutError):
        return None
    try:
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    certificate = x509.load_der_x509_certificate(found) if found else None
    return certificate if certificate and covers(certificate, name) else None


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether a certificate is for a name, itself or by a wildcard for its first label."""
    try:
        return any(stands_for(each, name) for each in names_of(certificate))
    except ValueError:
        return False


class Told(asyncio.DatagramProtocol):
    """What Caddy says of certificates that it could not get: the last reason of each name."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """A line of Caddy's log."""
        try:
            entry = json.loads(data)
        except ValueError:
            return
        name, error = (entry.get("identifier"), entry.get("error")) if isinstance(entry, dict) else (None, None)
        if isinstance(name, str) and isinstance(error, str):
            self.errors[name] = error[:1000]


@asynccontextmanager
async def told(path: str) -> AsyncIterator[Told]:
    """Listen to Caddy on a unix socket for as long as the block lasts."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Told, local_addr=path, family=socket.AF_UNIX)
    try:
        yield protocol
    finally:
        transport.close()


class Certificates:
    """Looks at each name, seldom while it is well."""

    def __init__(self, errors: dict[str, str], host: str, port: int, own: Iterable[str] = ()) -> None:
        self._errors, self._host, self._port = errors, host, port
        self._own = list(own)
        """The names of this installation itself, which are in no table: of them the log tells."""
        self.due: dict[str, float] = {}
        """When each name is looked at next, by the loop's clock."""
        self._pauses: dict[str, float] = {}

    async def look(self) -> None:
        """Look at what is due, and say how it is. Raises what the database's being away raises."""
        clock = asyncio.get_running_loop().time
        names = [*self._own, *(row["domain"] for row in await database().execute_query_dict(_NAMES))]
        self.due = {name: self.due.get(name, 0.0) for name in names}
        for gone in self._errors.keys() - self.due.keys():
            del self._errors[gone]
        self._pauses = {name: pause for name, pause in self._pauses.items() if name in self.due}
        for name in [name for name, at in self.due.items() if at <= clock()]:
            found = judged(await served(name, self._host, self._port), self._errors.get(name), datetime.now(UTC))
            if found.status is CertificateStatus.valid:
                self._errors.pop(name, None)
            await database().execute_query(_SAY, [name, found.status, found.error, found.expires_at])
            if name in self._own and found.status is not CertificateStatus.valid:
                log.warning("edge.own_certificate", domain=name, status=found.status, error=found.error)
            self._pauses[name] = SELDOM if found.status is CertificateStatus.valid else self._sooner(name)
            self.due[name] = clock() + self._pauses[name]

    def _sooner(self, name: str) -> float:
        """Seconds until the next look at a name that is not well."""
        before = self._pauses.get(name, SELDOM)
        return SOON if before >= SELDOM else min(before * GROWTH, SELDOM / 2)

    async def run(self) -> None:
        """Keep looking, until cancelled."""
        while True:
            try:
                await self.look()
            except AWAY as error:
                log.warning("edge.certificates", error=str(error))
            await asyncio.sleep(LOOK)
