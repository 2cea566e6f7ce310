"""TLS connections to PostgreSQL: modes, certificates, and the messages of failures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from compozy.config.settings import DatabaseSettings
from tests.harness.postgres import new_database
from tests.harness.tls import Authority, tls_front
from tests.integration.database.connecting import changed, opens, refusal


@pytest.fixture
def place() -> Iterator[DatabaseSettings]:
    with new_database() as settings:
        yield settings


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("mode", [None, "require", "verify-ca", "verify-full"])
def test_each_mode_encrypts(place: DatabaseSettings, authority: Authority, mode: str | None) -> None:
    certificate, key = authority.issue("server", "127.0.0.1", "localhost")
    with tls_front(place.port, certificate, key) as front:
        trusted = {"sslrootcert": str(authority.file)} if mode in {"verify-ca", "verify-full"} else {}
        opens(changed(place, port=front.port, sslmode=mode, **trusted))
        assert front.encrypted == 1
        parts = f"sslmode={mode}&sslrootcert={quote(str(authority.file))}" if trusted else f"sslmode={mode or 'prefer'}"
        text = f"postgres://compozy@localhost:{front.port}/{place.dbname}?{parts}"
        opens(DatabaseSettings(driver="postgres", conn_string=SecretStr(text)))
        assert front.encrypted == 2


def test_disable_does_not_encrypt(place: DatabaseSettings, authority: Authority) -> None:
    opens(changed(place, sslmode="disable"))
    with tls_front(place.port, *authority.issue("server", "127.0.0.1")) as front:
        error = refusal(changed(place, port=front.port, sslmode="disable"))
        assert front.encrypted == 0
    assert "no encryption" in error.message
    assert "sslmode" in error.hint


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_server_that_does_not_encrypt(place: DatabaseSettings, authority: Authority, mode: str) -> None:
    error = refusal(changed(place, sslmode=mode, sslrootcert=str(authority.file)))
    assert error.message.endswith("does not support TLS")
    assert "database.sslmode" in error.hint


@pytest.mark.parametrize(
    ("mode", "trusted", "host", "message"),
    [
        ("verify-ca", "other.crt", "127.0.0.1", "cannot be verified: "),
        ("verify-full", "other.crt", "127.0.0.1", "cannot be verified: "),
        ("verify-full", "missing.crt", "127.0.0.1", "database.sslrootcert: file"),
        ("verify-ca", None, "127.0.0.1", "root.crt"),
        ("verify-full", "authority.crt", "elsewhere.example", "is for another host name"),
        ("verify-ca", "authority.crt", "elsewhere.example", None),
        ("require", None, "elsewhere.example", None),
    ],
)
def test_untrusted_certificates(
    place: DatabaseSettings,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    trusted: str | None,
    host: str,
    message: str | None,
) -> None:
    # The default location of the driver's certificate authority.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PGSSLROOTCERT", str(tmp_path / "home/root.crt"))
    Authority(tmp_path, name="other")
    with tls_front(place.port, *authority.issue("server", host)) as front:
        parts = {"sslrootcert": str(tmp_path / trusted)} if trusted else {}
        settings = changed(place, port=front.port, sslmode=mode, **parts)
        if message is None:
            opens(settings)
            return
        error = refusal(settings)
    assert message in error.message
    assert error.hint


def test_certificates_of_clients(place: DatabaseSettings, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("server", "127.0.0.1")
    own, own_key = authority.issue("client")
    with tls_front(place.port, certificate, key, clients_signed_by=authority.file) as front:
        base = changed(place, port=front.port, sslmode="require")
        opens(changed(base, sslcert=str(own), sslkey=str(own_key)))
        assert "TLS connection" in refusal(base).message
        missing = refusal(changed(base, sslcert=str(tmp_path / "missing"), sslkey=str(own_key)))
        assert missing.message == f"database.sslcert: file {str(tmp_path / 'missing')!r} not found"
        own_key.chmod(0o644)
        assert "the client certificate for" in refusal(changed(base, sslcert=str(own), sslkey=str(own_key))).message
