"""PACKAGES and RUNTIME_VERSION of Python handlers, checked against the server's Python environment.

Each package is available in one version, the installed one, under the name that Snowflake's repository has for it. One interpreter,
the server's own, runs handlers of every runtime version. Also provides the rows of INFORMATION_SCHEMA.PACKAGES.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from localcloud.snowflake.failures import compilation, failure
from localcloud.snowflake.sessions.connection import DuckConnection
from localcloud.snowflake.sql.tokens import wrong_value

# Runtime versions that Snowflake offers, and those that it has decommissioned. All handlers run in the server's own
# Python.
RUNTIMES = ("3.10", "3.11", "3.12", "3.13", "3.14")
_DECOMMISSIONED = ("3.8", "3.9")
#: Packages of Snowflake's repository by the distribution that provides their modules here.
_PROVIDERS = {"xgboost": "xgboost-cpu"}
#: Provided by the worker itself (``worker.telemetry``): the distribution requires another version of OpenTelemetry than the server.
_OWN = {"snowflake-telemetry-python": "0.8.0"}
_TABLE = "_python_packages"
_REPOSITORY = "snowflake.snowpark.anaconda_shared_repository"
_SNOWPARK = "snowflake-snowpark-python"


@cache
def installed() -> dict[str, str]:
    """Version of each package by normalized name."""
    found: dict[str, str] = {}
    for package in metadata.distributions():
        if name := package.metadata["Name"]:
            # Of several installed versions, Python imports the one that comes first.
            found.setdefault(canonicalize_name(name), package.version)
    provided = {name: found[provider] for name, provider in _PROVIDERS.items() if provider in found}
    return {**_OWN, **provided, **found}


def check_runtime(version: str) -> None:
    """Raise Snowflake's error for a runtime version that Snowflake does not offer."""
    if version in _DECOMMISSIONED:
        raise compilation(
            391_569,
            "22023",
            f"Python runtime version {version} is decommissioned. Please update your code to Python runtime version "
            f"{RUNTIMES[0]} or later.",
        )
    if version not in RUNTIMES:
        raise wrong_value("RUNTIME_VERSION", version)


def check(requirements: tuple[str, ...]) -> None:
    """Raise if a requirement is not satisfied by an installed package."""
    missing = [text for text in requirements if not _is_satisfied(text)]
    if missing:
        raise _package_error(f"Packages not found: {', '.join(missing)}")


def check_snowpark(requirements: tuple[str, ...]) -> None:
    """Raise if the Snowpark package, which a procedure must list, is missing."""
    if not any(canonicalize_name(_requirement(text).name) == _SNOWPARK for text in requirements):
        raise _package_error(f"Python procedures require the package '{_SNOWPARK}'")


def _requirement(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement:
        raise _package_error(f"Invalid package specification: {text}") from None


def _is_satisfied(text: str) -> bool:
    wanted = _requirement(text)
    version = installed().get(canonicalize_name(wanted.name))
    if version is None:
        # Snowflake lists Python itself among the packages.
        return canonicalize_name(wanted.name) == "python"
    return wanted.specifier.contains(version, prereleases=True)


def resolved(requirements: tuple[str, ...]) -> list[str]:
    """``name==version`` of each required package that is installed."""
    names = [canonicalize_name(_requirement(text).name) for text in requirements]
    return [f"{name}=={installed()[name]}" for name in sorted(set(names)) if name in installed()]


def _package_error(why: str) -> ProgrammingError:
    return failure(
        391_546,
        "22023",
        "SQL compilation error: Cannot create a Python function with the specified packages. "
        f"Please check your packages specification and try again. '{why}.'",
    )


def publish(duck: DuckConnection) -> None:
    """Create the table that :func:`rewrite` puts in place of INFORMATION_SCHEMA.PACKAGES."""
    names, versions = zip(*sorted(installed().items()), strict=True)
    duck.execute(
        f"CREATE TABLE memory.main.{_TABLE} AS SELECT package.*, 'python' AS LANGUAGE, RUNTIME_VERSION "
        "FROM (SELECT unnest(?::VARCHAR[]) AS PACKAGE_NAME, unnest(?::VARCHAR[]) AS VERSION) AS package "
        "CROSS JOIN (SELECT unnest(?::VARCHAR[]) AS RUNTIME_VERSION)",
        [names, versions, RUNTIMES],
    )


def rewrite(node: exp.Expr) -> exp.Expr:
    """Replace INFORMATION_SCHEMA.PACKAGES of any database with the published table; return any other node unchanged.

    Also answers the system functions with which Snowpark asks for the default package repository and the acceptance of
    its terms.
    """
    if isinstance(node, exp.Anonymous) and str(node.this).upper() == "SYSTEM$ARE_ANACONDA_TERMS_ACKNOWLEDGED":
        return exp.Boolean(this=True)
    if isinstance(node, exp.Anonymous) and str(node.this).upper() == "SYSTEM$GET_DEFAULT_PYTHON_ARTIFACT_REPOSITORY":
        return exp.Literal.string(_REPOSITORY)
    if not isinstance(node, exp.Table) or node.name.upper() != "PACKAGES" or node.db.upper() != "INFORMATION_SCHEMA":
        return node
    table = exp.Table(
        this=exp.to_identifier(_TABLE, quoted=True),
        db=exp.to_identifier("main", quoted=True),
        catalog=exp.to_identifier("memory", quoted=True),
    )
    table.set("alias", node.args.get("alias") or exp.TableAlias(this=exp.to_identifier("PACKAGES", quoted=True)))
    return table
