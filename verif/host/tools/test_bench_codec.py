"""The speed of the codec is measured together with that of its peer."""

import importlib

import pytest

from meterseal.errors import Failure
from meterseal.tools.bench import codec


def test_both_sides_are_measured_in_one_run():
    """The test does not judge the figures, because they depend on how busy the machine is."""
    figures = codec.run(0.2)
    assert figures["this_codec_pairs_per_second"] > 0
    assert figures["dlt645_pairs_per_second"] > 0
    assert figures["ratio"] > 0


def test_without_the_peer_it_states_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(Failure, match="install the PyPI package dlt645"):
        codec.run(0.1)


def test_a_codec_that_decodes_something_else_is_not_timed(monkeypatch):
    monkeypatch.setattr(codec, "_DI", 0x03300D00)
    with pytest.raises(Failure, match="would mean nothing"):
        codec.run(0.1)
