"""What pyproject.toml allows at least is what `make lowest` tests with."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]


def pinned() -> dict[str, Version]:
    lines = (ROOT / "tests" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower(): Version(version) for name, version in pins}


def test_lower_bounds_of_the_base_install_are_the_versions_tested_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = {}
    for requirement in map(Requirement, project["dependencies"]):
        (bounds[requirement.name],) = (Version(each.version) for each in requirement.specifier if each.operator == ">=")
    assert bounds == {name: pinned()[name] for name in bounds}


def test_the_sdk_has_no_upper_bound() -> None:
    """aiobotocore, and s3fs with it, allow a few versions of botocore each; an upper bound could exclude them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sdk = [each for each in map(Requirement, project["dependencies"]) if each.name in ("boto3", "botocore")]
    assert len(sdk) == 2
    assert all(bound.operator == ">=" for requirement in sdk for bound in requirement.specifier)
