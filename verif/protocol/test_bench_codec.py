"""The codec's speed, beside its peer."""

import importlib
import json
import os
import subprocess
import sys

import pytest

from meterseal.bench import codec
from meterseal.errors import Failure


def test_the_codec_is_at_least_half_again_as_fast_as_its_peer():
    """In a process of its own, which coverage does not slow."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    script = "import json; from meterseal.bench import codec; print(json.dumps(codec.run(1.0)))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    figures = json.loads(done.stdout)
    assert figures["ratio"] >= codec.REQUIRED_RATIO == figures["required_ratio"]
    assert figures["meterseal_pairs_per_second"] > figures["dlt645_pairs_per_second"] > 0


def test_without_the_peer_it_says_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(Failure, match="install the PyPI package dlt645"):
        codec.run(0.1)


def test_a_codec_that_decodes_something_else_is_not_timed(monkeypatch):
    monkeypatch.setattr(codec, "_DI", 0x03300D00)
    with pytest.raises(Failure, match="would mean nothing"):
        codec.run(0.1)
