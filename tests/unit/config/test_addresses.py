"""Addresses with credentials: errors are named, and no part of the credentials is repeated."""

from __future__ import annotations

import pytest
from psycopg.pq import Conninfo
from pydantic import ValidationError

from compozy.config.addresses import (
    ENCODE,
    POSTGRES_PARAMETERS,
    check_document_address,
    check_postgres_address,
    check_store_address,
    check_web_address,
    show_address,
)
from compozy.knowledge.config import SourceSettings

NOT_ENCODED = f"the user or the password has a character that needs percent-encoding; {ENCODE}"
REDIS = ("redis", "rediss", "unix")

_SCHEMA = "write options=-c%20search_path%3DNAME for the schema NAME"


@pytest.mark.parametrize(
    "text",
    [
        "postgres://u:p@h:7/d?sslmode=require",
        "postgresql+psycopg://u:p%40%2F@h/d",
        "postgres://h,h2:5433/d?target_session_attrs=read-write",
        "postgres://u:p@[::1]:5432/d",
        "postgres://u@/d?host=/var/run/postgresql",
        "postgres://h/d?application_name=a%40b",
        "host=h dbname=d password='a = b'",
        "",
    ],
)
def test_valid_addresses(text: str) -> None:
    assert check_postgres_address(text) is None


@pytest.mark.parametrize(
    "password", ["SECRET/HALF", "SECRET@HALF", "SECRET#HALF", "SE?CRET", "SEC%RET", "SEC RET", "12/3"]
)
def test_passwords_that_are_not_encoded(password: str) -> None:
    assert check_postgres_address(f"postgres://app:{password}@127.0.0.1:9/d") == NOT_ENCODED
    assert check_store_address(f"redis://app:{password}@127.0.0.1:9/0", REDIS) == NOT_ENCODED


@pytest.mark.parametrize("password", ["SECRET/HALF", "SECRET@HALF", "SECRET#HALF", "SE?CRET", "SEC%RET", "12/3"])
def test_no_part_of_a_password_is_shown(password: str) -> None:
    address = f"http://app:{password}@host/v1"
    problem = check_web_address(address)
    assert problem is not None
    shown = f"{problem} {show_address(address)}"
    assert not {"SECRET", "HALF", "CRET", "RET", "12/3"}.intersection(shown.replace("/", " ").split())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("postgres://u:p@h/d?schema=public", f"unknown parameter 'schema'; {_SCHEMA}"),
        ("postgres://u:p@h/d?search_path=a", f"unknown parameter 'search_path'; {_SCHEMA}"),
        ("postgres://u:p@h/d?currentSchema=a", f"unknown parameter 'currentSchema'; {_SCHEMA}"),
        ("postgres://u:p@h/d?pgbouncer=true", "unknown parameter 'pgbouncer'; remove it; it is a parameter of Prisma"),
        ("postgresql+asyncpg://u:p@h/d?ssl=require", "unknown parameter 'ssl'; write sslmode=require"),
        (
            "postgres://h,h2/d?target_session_attrs=standby",
            "target_session_attrs must be read-write or primary: runs need a writable server",
        ),
        ("postgres://u:p@h/d?sslmod=require", "unknown parameter 'sslmod'; did you mean 'sslmode'?"),
        (
            "service=mydb",
            "`service` is not supported: the address must not depend on another file; write host and dbname",
        ),
        (
            "host=h;database=d",
            "separate the parameters with blanks, not with `;`, or write postgres://user:password@host:5432/dbname",
        ),
        ("host=h database=d", "unknown parameter 'database'; write dbname"),
        ("mysql://u:p@h/d", "is not a PostgreSQL address; write postgres://user:password@host:5432/dbname"),
        (
            "host=h password=hun ter2 dbname=d",
            "has a value with a blank or a quote; write it as password='a b', and a quote in it as \\'",
        ),
        (
            "host=h password='hunter2 and dbname=d",
            "has a value with a blank or a quote; write it as password='a b', and a quote in it as \\'",
        ),
        (
            "postgres://u:p@h/d?sslmode=requir",
            "unknown sslmode; write disable, allow, prefer, require, verify-ca or verify-full",
        ),
        ("host=h sslmode=on", "unknown sslmode; write disable, allow, prefer, require, verify-ca or verify-full"),
        ("somewhere", "is not a PostgreSQL address; write postgres://user:password@host:5432/dbname"),
    ],
)
def test_addresses_as_other_libraries_write_them(text: str, problem: str) -> None:
    assert check_postgres_address(text) == problem


def test_the_parameters_are_those_of_the_driver() -> None:
    assert {known.keyword.decode() for known in Conninfo.get_defaults()} <= POSTGRES_PARAMETERS


@pytest.mark.parametrize(
    "part", ["sk-secret99", "sk-proj-abc123DEF456", "gsk_1234567890ab", "AIzaSyA1234567890abcdefghijk"]
)
@pytest.mark.parametrize("path", ["/{}/v1", "/v1/{}", "/x/{}/"])
def test_a_key_in_the_path_is_refused(part: str, path: str) -> None:
    problem = check_web_address(f"https://host{path.format(part)}")
    assert problem == "must not hold a key in its path; a key goes into `api_key`"


@pytest.mark.parametrize(
    "path", ["/sk-learn-server/v1", "/v1/4f2a9c0d1e3b5a7f/gateway/openai", "/pk-models", "/projects/sk/v1beta"]
)
def test_other_paths_are_valid(path: str) -> None:
    assert check_web_address(f"https://host{path}") is None


@pytest.mark.parametrize("user", ["bob:hunter2", "bob", ":hunter2", "bob:hun/ter2", "bob:12/hunter2"])
def test_the_address_of_a_document_contains_no_password(user: str) -> None:
    address = f"https://{user}@host/page?x=1"
    assert check_document_address(address) == "must not hold a user or a password"
    for given in ({"url": address}, {"urls": [address]}):
        with pytest.raises(ValidationError) as caught:
            SourceSettings.model_validate(given)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["https://host/@bob/page", "https://host:8443/@bob/page", "https://host/x?mail=a@b.c", "https://[::1]:80/x#a@b"],
)
def test_addresses_of_documents_may_contain_other_characters(address: str) -> None:
    assert check_document_address(address) is None
