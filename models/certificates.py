"""Which names a certificate is for."""

from cryptography import x509


def names_of(certificate: x509.Certificate) -> list[str]:
    """Its DNS names, in lower case. Raises `ValueError` when it cannot be read."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in found]


def stands_for(name: str, domain: str) -> bool:
    """Whether a name of a certificate stands for a domain; a wildcard for exactly one label (RFC 6125, section 6.4.3)."""
    return name == domain or (name.startswith("*.") and name[2:] == domain.partition(".")[2])
