"""The two distributions: the files and the requirements of each wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]


def shipped(folder: Path) -> set[str]:
    """Paths in the wheel of the project in ``folder``, without the metadata."""
    builder = WheelBuilder(str(folder))
    found: set[str] = set()
    with builder.config.set_build_data({"force_include": {}, "shared_data": {}, "shared_scripts": {}, "artifacts": []}):
        for file in builder.recurse_included_files():
            found.add(Path(file.distribution_path).as_posix())
    return found


def python_files(folder: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")}


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return found


def test_the_products_wheel_contains_only_the_product() -> None:
    found = shipped(ROOT)
    code = {name for name in found if name.endswith(".py") and not name.startswith("snowsage_resources/")}
    assert code == python_files("app") | python_files("sagemaker_entry")
    resources = found - code
    assert {
        "snowsage_resources/infra/aws/snowsage.yaml",
        "snowsage_resources/examples/churn/pipeline.yaml",
    } <= resources
    assert {name.split("/")[0] for name in resources} == {"snowsage_resources"}


def test_the_local_clouds_wheel_contains_the_package_without_its_tests() -> None:
    tests = {name for name in python_files("localcloud") if name.startswith("localcloud/tests/")}
    assert tests
    assert shipped(ROOT / "localcloud") == (python_files("localcloud") - tests) | {"localcloud/py.typed"}


def test_only_the_extra_requires_the_local_cloud() -> None:
    product, local = project(ROOT), project(ROOT / "localcloud")
    assert local["name"] == "snowsage-localcloud"
    assert not any("localcloud" in needed for needed in product["dependencies"])
    naming = {extra for extra, needs in product["optional-dependencies"].items() if "snowsage-localcloud" in needs}
    assert naming == {"local"}
    assert not any("snowsage" in needed for needed in local["dependencies"])


@pytest.mark.parametrize("folder", [ROOT, ROOT / "localcloud"])
def test_the_metadata_names_files_that_exist(folder: Path) -> None:
    described = project(folder)
    assert (folder / described["readme"]).read_text().startswith("# ")
    assert all((folder / name).is_file() for name in described["license-files"])


def test_both_distributions_have_one_version_and_licence() -> None:
    product, local = project(ROOT), project(ROOT / "localcloud")
    assert [product[key] for key in ("version", "license", "requires-python")] == [
        local[key] for key in ("version", "license", "requires-python")
    ]
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "localcloud" / "LICENSE").read_bytes()
