"""Rules for the repository's files: generated documents are current, links and commands exist, imports have no side effects.

``make check`` checks the import layers.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app import spec
from app.pipeline import STAGES
from app.spec.__main__ import guide, schema
from tests.support.commands import ROOT, run_command

CODE = [path for folder in ("app", "sagemaker_entry", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]

#: Modules that execute code when they load data.
UNSAFE = {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}


def test_nothing_that_executes_on_load_is_imported() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        if name.partition(".")[0] in UNSAFE
    }
    assert found == set()


def test_every_module_has_a_docstring() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in CODE
        if (body := path.read_text()) and not ast.get_docstring(ast.parse(body))
    ]
    assert silent == []


def test_imports_have_no_side_effects() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in CODE
        if "examples" not in path.parts and path.name != "__main__.py"
    ]
    code = "import importlib, threading\n" + "".join(f"importlib.import_module({name!r})\n" for name in modules)
    code += "print([thread.name for thread in threading.enumerate()])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['MainThread']"


@pytest.mark.parametrize(("name", "made"), [("pipeline.schema.json", schema), ("pipeline.md", guide)])
def test_generated_documents_are_current(name: str, made: object) -> None:
    assert callable(made)
    assert (ROOT / "docs" / name).read_text() == made(), "run `make docs`"


def test_the_readmes_pipeline_is_valid(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    (tmp_path / "pipeline.yaml").write_text(block[1])
    (tmp_path / "features.py").touch()
    assert spec.load(tmp_path).pipeline.name == yaml.safe_load(block[1])["name"]


def test_the_readmes_commands_exist() -> None:
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) <= targets
    code = "".join(re.findall(r"```sh\n.*?```|`snowsage [^`]*`", text, re.DOTALL))
    commands = set(re.findall(r"snowsage ([a-z]+)", code))
    shown = run_command(os.environ, "--help").stdout
    assert commands
    assert {name for name in commands if f" {name} " not in shown} == set()
    assert {"demo", "local", "run", "serve", "sql", "versions", "infra", *(stage.name for stage in STAGES)} <= set(
        re.findall(r"[a-z]+", shown)
    )


def test_links_in_the_documents_have_targets() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} -> {link}"


def test_the_lock_file_pins_versions_and_names_no_index() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert all(re.match(r"[a-zA-Z0-9._-]+(\[.*\])?==\S+( ; .*)?$", line) for line in lines), lines
    assert not any("://" in line for line in lines)
