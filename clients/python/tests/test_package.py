"""The wheel installs in an empty environment and works from the README's first lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .support import OPENAI_MODEL, Provider, Service

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an empty environment with the wheel, and with openai as the README says."""
    directory = tmp_path_factory.mktemp("package")
    run = subprocess.check_call
    run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory / "dist"), str(ROOT)],
        stdout=subprocess.DEVNULL,
    )
    run([sys.executable, "-m", "venv", str(directory / "venv")])
    python = directory / "venv/bin/python"
    wheel = next((directory / "dist").glob("*.whl"))
    run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel), "openai"])
    return python


def test_the_first_lines_of_the_readme_work(python: Path, service: Service, provider: Provider, user: str) -> None:
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    program = (
        f'messages = [{{"role": "user", "content": "what is new"}}]\nINTERNAL_API_KEY = "{service.key}"\n' + found[1]
    )
    program = program.replace("http://localhost:3001", service.url).replace('"alice"', f'"{user}"')
    program = program.replace("gpt-4o-mini", OPENAI_MODEL)
    environment = {**os.environ, "OPENAI_BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": "test", "PYTHONPATH": ""}
    ran = subprocess.run(
        [str(python), "-c", program], capture_output=True, text=True, env=environment, cwd="/", check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.split()) == 50
    assert service.record(user)["usageSource"] == "provider"


def test_the_package_says_that_it_is_typed(python: Path) -> None:
    check = (
        "import llm_accounting, pathlib; assert (pathlib.Path(llm_accounting.__file__).parent / 'py.typed').exists()"
    )
    subprocess.check_call([str(python), "-c", check], cwd="/")
