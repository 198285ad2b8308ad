"""How the suite runs its tiers."""

import sys
from pathlib import Path

import pytest

from gateway.embedded import suite


async def test_what_python_compiles_for_a_tier_is_kept_for_the_next_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(suite, "BYTECODE", tmp_path)
    status, printed = await suite.captured((sys.executable, "-c", "import this; print(this.__cached__)"))
    compiled = Path(printed.splitlines()[-1])
    assert (status, compiled.is_relative_to(tmp_path), compiled.is_file()) == (0, True, True)
