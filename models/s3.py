"""The bucket for backups, as the administrator describes it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from models.oidc import is_reachable


def _endpoint(value: str) -> str:
    parts, origin = urlsplit(value), value.removesuffix("/")
    if value and (not is_reachable(value, insecure=True) or origin != f"{parts.scheme}://{parts.netloc}"):
        raise ValueError("must be an origin like https://host or https://host:port")
    return origin


class S3(BaseModel):
    """A bucket, and how it is reached."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    endpoint: Annotated[str, AfterValidator(_endpoint)] = ""
    """Where the service is; empty is Amazon's of the region. Plain HTTP is spoken only with what is given as `http://`."""
    region: str = Field(default="us-east-1", pattern=r"^[A-Za-z0-9-]{1,64}$")
    access_key_id: str = Field(alias="accessKeyId", pattern=r"^[!-~]{1,256}$")
    secret_access_key: SecretStr = Field(alias="secretAccessKey", min_length=1)
    prefix: str = Field(default="", pattern=r"^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?$", max_length=256)
    """What the names of all objects begin with, without the slash that follows."""
    path_style: bool = Field(default=True, alias="pathStyle")
    """Whether the bucket stands in the path of a URL; else it is the first label of the host's name."""

    @property
    def url(self) -> str:
        """The origin that requests go to."""
        scheme, _, host = (self.endpoint or f"https://s3.{self.region}.amazonaws.com").partition("://")
        return f"{scheme}://{host}" if self.path_style else f"{scheme}://{self.bucket}.{host}"


def s3(text: str) -> S3 | None:
    """The bucket that a setting describes as JSON; empty is none.

    Raises ValueError, whose words hold nothing of the text: a secret stands in it.
    """
    if not text.strip():
        return None
    try:
        return S3.model_validate_json(text)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False, include_url=False))
        raise ValueError("; ".join(problems)) from None
