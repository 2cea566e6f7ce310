"""Loads every group of functions, and says which of Sprig's are left out."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType

from compozy.template.functions.lenient import LENIENT
from compozy.template.functions.registry import REGISTRY, Function

GROUPS = (
    "comparisons",
    "builtins",
    "strings",
    "conversions",
    "maths",
    "lists",
    "dicts",
    "encodings",
    "paths",
    "chance",
    "semver",
    "casing",
    "regexes",
    "dates",
    "urls",
)

for _group in GROUPS:
    import_module(f"compozy.template.functions.{_group}")

_SECRETS = "secrets are not made in templates; give them as environment variables"
_CONFIGURATION = "configuration reads environment variables with ${NAME}; templates do not"

LEFT_OUT = MappingProxyType(
    {
        **dict.fromkeys(("bcrypt", "derivePassword", "genPassword", "htpasswd"), _SECRETS),
        **dict.fromkeys(
            (
                "buildCustomCert", "genCA", "genCAWithKey", "genPrivateKey", "genSelfSignedCert",
                "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
            ),
            "certificates and keys are not made in templates",
        ),
        **dict.fromkeys(("decryptAES", "encryptAES"), "templates do not encrypt; a tool can"),
        **dict.fromkeys(("env", "expandenv"), _CONFIGURATION),
        "getHostByName": "templates do not use the network; a tool can",
    }
)  # fmt: skip
"""Functions of Sprig that do not exist here, each with the reason."""

FUNCTIONS: dict[str, dict[str, Function]] = {"go": dict(REGISTRY), "compozy": {**REGISTRY, **LENIENT}}
"""The functions of each dialect by name."""

FUNCTION_NAMES: frozenset[str] = frozenset(REGISTRY) | frozenset(LENIENT)
"""The names of all functions."""
