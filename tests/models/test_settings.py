"""Settings and URLs as they come from the environment."""

import json

import pytest

from models.database import credentials
from models.settings import Settings
from workers.broker import queue_url


def test_lists_are_comma_separated_and_ranges_have_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKPLOY_GIT_ALLOWED_HOSTS", "git.example.com, 127.0.0.1:3000 ,")
    monkeypatch.setenv("DOKPLOY_NOTIFICATION_ALLOWED_HOSTS", "pager.internal,10.0.0.1:8080")
    monkeypatch.setenv("DOKPLOY_PORT_RANGE", "20000-20010")
    settings = Settings()
    assert settings.git_allowed_hosts == {"git.example.com", "127.0.0.1:3000"}
    assert settings.notification_allowed_hosts == {"pager.internal", "10.0.0.1:8080"}
    assert settings.port_range == (20000, 20010)


def test_the_edges_name_server_has_an_address_and_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().edge_resolver == ("127.0.0.1", 5391)
    monkeypatch.setenv("DOKPLOY_EDGE_RESOLVER", "127.0.0.2:54")
    assert Settings().edge_resolver == ("127.0.0.2", 54)
    monkeypatch.setenv("DOKPLOY_EDGE_RESOLVER", "127.0.0.2")
    with pytest.raises(ValueError, match="edge_resolver"):
        Settings()


@pytest.mark.parametrize("value", ["x", "1", "1-x"])
def test_a_range_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DOKPLOY_PORT_RANGE", value)
    with pytest.raises(ValueError, match="port_range"):
        Settings()


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password", "database"),
    [
        ("postgresql://me:s%40cret@db:6432/app", "db", 6432, "me", "s@cret", "app"),
        ("postgresql://dokploy@/dokploy?host=/run/a b", "/run/a b", 5432, "dokploy", None, "dokploy"),
        ("postgres://db", "db", 5432, None, None, "dokploy"),
    ],
)
def test_a_database_url(url: str, host: str, port: int, user: str | None, password: str | None, database: str) -> None:
    assert credentials(url) == {"host": host, "port": port, "user": user, "password": password, "database": database}


def test_another_database_is_refused() -> None:
    with pytest.raises(ValueError, match="must start with postgresql://"):
        credentials("mysql://x")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host:6379/0", "redis://host:6379/1"),
        ("redis://user:pw@host", "redis://user:pw@host/1"),
        ("rediss://host/4", "rediss://host/5"),
        ("unix:///run/x.sock", "unix:///run/x.sock?db=1"),
        ("unix:///run/x.sock?db=2", "unix:///run/x.sock?db=3"),
    ],
)
def test_the_queue_lives_in_the_next_redis_database(url: str, expected: str) -> None:
    assert queue_url(url) == expected


PROVIDER = {"name": "corp", "issuer": "https://id.example/realm/", "clientId": "dokploy", "clientSecret": "hidden"}


def test_a_provider_has_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().oidc == ()
    monkeypatch.setenv("DOKPLOY_OIDC", json.dumps([PROVIDER]))
    (provider,) = Settings().oidc
    assert (provider.title, provider.scopes, provider.link_by_email) == ("corp", ("openid", "email", "profile"), False)
    assert provider.metadata == "https://id.example/realm/.well-known/openid-configuration"
    assert "hidden" not in repr(provider)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Corp"}, "name"),
        ({"name": "x" * 33}, "name"),
        ({"issuer": ""}, "issuer or metadataUrl is required"),
        ({"issuer": "http://id.example"}, "issuer must be a URL like https"),
        ({"issuer": "https://id.example:65536"}, "issuer must be a URL like https"),
        ({"issuer": "https://user@id.example"}, "issuer must be a URL like https"),
        ({"metadataUrl": "file:///etc/passwd"}, "metadataUrl must be a URL like https"),
        ({"clientId": ""}, "clientId"),
        ({"scopes": ["email"]}, "scopes must hold openid"),
        ({"roles": {"x": "owner"}}, "roleClaim and roles belong together"),
        ({"roleClaim": "groups", "roles": {"x": "emperor"}}, "roles"),
        ({"clientSecrets": "x"}, "clientSecrets"),
    ],
)
def test_a_provider_that_makes_no_sense_is_refused_without_showing_its_secret(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object], words: str
) -> None:
    monkeypatch.setenv("DOKPLOY_OIDC", json.dumps([PROVIDER | change]))
    with pytest.raises(ValueError, match=words) as caught:
        Settings()
    assert "hidden" not in str(caught.value)


def test_two_providers_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKPLOY_OIDC", json.dumps([PROVIDER, PROVIDER]))
    with pytest.raises(ValueError, match="the same name"):
        Settings()


@pytest.mark.parametrize(
    "url", ["app.example/x", "https://app.example/#x", "https://app.example/?x", "https://a@app.example/", "javascript:x"]
)
def test_a_page_to_end_a_login_at_is_an_origin_and_a_path(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DOKPLOY_OIDC_REDIRECTS", "https://app.example/in, http://localhost:3000/")
    assert Settings().oidc_redirects == {"https://app.example/in", "http://localhost:3000/"}
    monkeypatch.setenv("DOKPLOY_OIDC_REDIRECTS", url)
    with pytest.raises(ValueError, match="oidc_redirects"):
        Settings()


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "username", "password"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, False, "", ""),
        ("smtps://mail.example.com", "mail.example.com", 465, True, "", ""),
        ("smtp://me%40example.com:p%40ss%3A%2F@mail.example.com:2525/", "mail.example.com", 2525, False, "me@example.com", "p@ss:/"),
        ("smtp://[::1]:25", "::1", 25, False, "", ""),
    ],
)
def test_a_server_for_e_mail(
    monkeypatch: pytest.MonkeyPatch, url: str, host: str, port: int, tls: bool, username: str, password: str
) -> None:
    monkeypatch.setenv("DOKPLOY_SMTP_URL", url)
    monkeypatch.setenv("DOKPLOY_SMTP_FROM", "dokploy@example.com")
    server = Settings().smtp_url
    assert server is not None
    assert (server.host, server.port, server.tls, server.username) == (host, port, tls, username)
    assert server.password.get_secret_value() == password and (not password or password not in repr(Settings()))


def test_without_a_server_there_is_no_e_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().smtp_url is None
    monkeypatch.setenv("DOKPLOY_SMTP_URL", " ")
    monkeypatch.setenv("DOKPLOY_SMTP_FROM", "")
    assert (Settings().smtp_url, Settings().smtp_from) == (None, "")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://me:hidden@mail.example.com", "must be like smtp://"),
        ("mail.example.com:587", "must be like smtp://"),
        ("smtp://", "must be like smtp://"),
        ("smtp://me:hidden@mail.example.com:65536", "must be like smtp://"),
        ("smtp://me:hidden@mail.example.com:x", "must be like smtp://"),
        ("smtp://me:hidden@mail.example.com:0", "port from 1 to 65535"),
        ("smtp://me:hidden@mail.example.com/x", "must be like smtp://"),
        ("smtp://me:hidden@mail.example.com?x=1", "must be like smtp://"),
        ("smtp://me:hidden@[::1", "must be like smtp://"),
        ("smtp://me:hidden@mail example.com", "in ASCII without blanks"),
        ("smtp://hidden@mail.example.com", "a user and a password, or neither"),
        ("smtp://:hidden@mail.example.com", "a user and a password, or neither"),
        ("smtp://me:hidden%0A@mail.example.com", "printable ASCII"),
        ("smtp://me:hidden%C3%BC@mail.example.com", "printable ASCII"),
    ],
)
def test_a_server_that_makes_no_sense_is_refused_without_showing_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.setenv("DOKPLOY_SMTP_URL", url)
    monkeypatch.setenv("DOKPLOY_SMTP_FROM", "dokploy@example.com")
    with pytest.raises(ValueError, match="smtp_url") as caught:
        Settings()
    assert words in str(caught.value) and "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "sender", ["dokploy", "a b@example.com", "Dokploy <a@example.com>", "a@example.com\nBcc: b@example.com", "a@ü.example"]
)
def test_e_mail_comes_from_an_address(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    monkeypatch.setenv("DOKPLOY_SMTP_FROM", sender)
    with pytest.raises(ValueError, match="must be an e-mail address"):
        Settings()


def test_e_mail_needs_somebody_whom_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKPLOY_SMTP_URL", "smtp://me:hidden@mail.example.com")
    with pytest.raises(ValueError, match="is needed with DOKPLOY_SMTP_URL") as caught:
        Settings()
    assert "hidden" not in str(caught.value)
