"""Settings from the environment (`DOKPLOY_*`), read once per process."""

import functools
import json
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.document_limits import DocumentLimits
from models.limits import STANDARD, Allowances, allowances
from models.oidc import Provider, providers, redirect
from models.s3 import S3, s3
from models.smtp import Smtp, address, smtp


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or value != f"{parts.scheme}://{parts.netloc}"):
        raise ValueError("must be an origin like https://host or https://host:port")
    return value


class Settings(BaseSettings):
    """Everything that can be configured; each field is the environment variable `DOKPLOY_<FIELD>` in upper case."""

    model_config = SettingsConfigDict(env_prefix="DOKPLOY_", extra="ignore", hide_input_in_errors=True)

    database_url: str = "postgresql://dokploy@localhost/dokploy"
    """Postgres ≥ 16, as a libpq URL; a unix socket is `postgresql://user@/name?host=/directory`."""

    redis_url: str = "redis://localhost:6379/0"
    """Redis or Valkey; a unix socket is `unix:///path/to/socket`. The queue uses the database after this one."""

    data: Path = Path(".dokploy")
    """Directory of this installation: the keys, and the work directories of running deployments."""

    registration: Literal["open", "closed"] = "open"

    oidc: Annotated[tuple[Provider, ...], NoDecode] = ()
    """JSON list of the OpenID providers by which people may log in; `models.oidc.Provider` says what each may have."""

    oidc_redirects: Annotated[frozenset[Annotated[str, AfterValidator(redirect)]], NoDecode] = frozenset()
    """Pages, comma-separated, that a login by an OpenID provider may end at, each to the letter: origin and path."""

    public_url: Annotated[str, AfterValidator(_origin)] = ""
    """Where the world reaches this installation, as `https://host`; with https, plain HTTP is redirected there."""

    cors_origins: Annotated[frozenset[str], NoDecode] = frozenset({"https://app.dokploy.com"})
    """Origins, comma-separated, whose pages may call the API from a browser."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Addresses or networks, comma-separated, whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    rate_limits: Annotated[Allowances | None, NoDecode] = STANDARD
    """JSON by tier that replaces the standard allowances, or `off`."""

    graphql_limits: Annotated[DocumentLimits, NoDecode] = DocumentLimits()
    """JSON that replaces some of the standard limits, such as `{"depth": 10, "seconds": 5}`."""

    graphql_documents: Path | None = None
    """JSON file of the only GraphQL documents that are run; unset means all are."""

    secret_keys: Annotated[list[SecretStr], NoDecode] = []
    """Fernet keys, comma-separated, newest first; empty means the key file under `data`, made on first start."""

    token_key: SecretStr | None = None
    """Key of the login tokens, at least 32 bytes; unset means the key file under `data`, made on first start."""

    metrics_token: SecretStr | None = None
    """What Prometheus shows to scrape `/api/metrics/prometheus`; unset means that only an owner or admin may read it."""

    backup_storage: Literal["local", "s3"] = "local"
    """Where new backups are put: a folder of this machine, or the bucket of `backup_s3`."""

    backup_directory: Path | None = None
    """That folder; unset means `backups` under `data`."""

    backup_s3: Annotated[S3 | None, NoDecode] = None
    """JSON of the bucket that backups may be put into; `models.s3.S3` says what it may have."""

    backup_encryption: bool = False
    """Whether new backups are encrypted with the keys of this installation: whoever loses those then loses the backups."""

    upload_limit: int = Field(default=10240, ge=1)
    """MiB that a backup may have which is uploaded."""

    smtp_url: Annotated[Smtp | None, NoDecode] = None
    """The server that e-mail is handed to, as `smtp://user:password@host:587` or `smtps://…:465`; unset or empty means none is sent."""

    smtp_from: Annotated[str, AfterValidator(address), Field(validate_default=True)] = ""
    """The address that e-mail comes from."""

    docker: str = ""
    """The docker command line to use; empty lets the worker choose one."""

    git_allowed_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    """`host` or `host:port`, comma-separated: these may be private addresses and may be reached by plain HTTP."""

    notification_allowed_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    """The same for what channels of notifications are told at: whoever has a channel there can post to any path of it."""

    reserved_ports: Annotated[frozenset[int], NoDecode] = frozenset()
    """Ports of this machine, comma-separated, that no application is given; those of the edge never are."""

    port_range: Annotated[tuple[int, int], NoDecode] = (30000, 32767)
    """First and last published port that applications are given, as `first-last`."""

    database_images: Annotated[dict[str, str], NoDecode] = {}
    """JSON object: the repository that the images of a type of databases come from, such as `{"mysql": "registry.local/mysql"}`."""

    worker_threads: int = Field(default=4, ge=1, le=64)
    """Stages other than builds that one worker process runs at a time."""

    build_concurrency: int = Field(default=2, ge=1, le=64)
    """Images that one worker process builds at a time."""

    log_retention: int = Field(default=16, ge=1)
    """MiB that are kept of what the containers of an application or a database print."""

    keep_images: int = Field(default=5, ge=1, le=1000)
    """Successes of an application whose images are kept to go back to."""

    queue_limit: int = Field(default=5000, ge=1)
    """Deployments that may wait; whoever asks for one more is told to come back later."""

    edge: Literal["off", "embedded", "service"] = "off"
    """How published ports are reached: through Caddy, which runs beside `up` or as a Swarm service, or `off`: through Docker alone."""

    edge_runtime: Path = Path("/run/dokploy")
    """Directory of the node, short and the edge's alone, for the sockets of Caddy's admin API (`caddy.sock`) and log (`log.sock`)."""

    edge_resolver: Annotated[tuple[str, Annotated[int, Field(gt=0, lt=65536)]], NoDecode] = ("127.0.0.1", 5391)
    """Where the edge's name server listens for Caddy, as `address:port`."""

    edge_gateway: Annotated[str, Field(pattern=r"^(?:\S+:\d{1,5})?$")] = ""
    """Where the edge reaches the gateway, as `address:port`: it then serves the host of an https `public_url`, too; `off` or empty: not."""

    edge_ports: Annotated[tuple[int, int], NoDecode] = (80, 443)
    """Where the edge serves domains, by plain HTTP and by TLS, as `http-https`."""

    acme_directory: str = ""
    """URL of the directory of the authority that domains get certificates from; empty is Caddy's choice, Let's Encrypt and ZeroSSL."""

    acme_email: str = ""
    """Whom that authority may write to."""

    acme_root: Path | None = None
    """File with the certificate by which the authority itself is known, for one that not everybody trusts."""

    swarm_advertise_address: str = "127.0.0.1"
    """The address other nodes would reach this Swarm manager by; used when Swarm is initialised."""

    @field_validator(
        *("reserved_ports", "secret_keys", "git_allowed_hosts", "notification_allowed_hosts"),
        *("cors_origins", "trusted_proxies", "oidc_redirects"),
        mode="before",
    )
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("rate_limits", mode="before")
    @classmethod
    def _off_or_json(cls, value: object) -> object:
        return allowances(value) if isinstance(value, str) else value

    @field_validator("oidc", mode="before")
    @classmethod
    def _none_or_providers(cls, value: object) -> object:
        return providers(value) if isinstance(value, str) else value

    @field_validator("backup_s3", mode="before")
    @classmethod
    def _none_or_bucket(cls, value: object) -> object:
        return s3(value) if isinstance(value, str) else value

    @field_validator("smtp_url", mode="before")
    @classmethod
    def _none_or_server(cls, value: object) -> object:
        return smtp(value) if isinstance(value, str) else value

    @field_validator("graphql_documents", "backup_directory", mode="before")
    @classmethod
    def _none_or_path(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("graphql_limits", mode="before")
    @classmethod
    def _standard_or_json(cls, value: object) -> object:
        return DocumentLimits.model_validate_json(value.strip() or "{}") if isinstance(value, str) else value

    @field_validator("database_images", mode="before")
    @classmethod
    def _none_or_json(cls, value: object) -> object:
        return json.loads(value.strip() or "{}") if isinstance(value, str) else value

    @field_validator("edge_gateway", mode="before")
    @classmethod
    def _none_or_address(cls, value: object) -> object:
        return "" if value == "off" else value

    @field_validator("edge_resolver", mode="before")
    @classmethod
    def _address_and_port(cls, value: object) -> object:
        return value.rsplit(":", 1) if isinstance(value, str) else value

    @field_validator("acme_root", mode="before")
    @classmethod
    def _none_or_file(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("port_range", "edge_ports", mode="before")
    @classmethod
    def _first_to_last(cls, value: object) -> object:
        return value.split("-", 1) if isinstance(value, str) else value

    @field_validator("smtp_from")
    @classmethod
    def _who_sends_is_known(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("smtp_url") is not None and not value:
            raise ValueError("is needed with DOKPLOY_SMTP_URL")
        return value


@functools.cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
