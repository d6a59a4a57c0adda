"""`meterseal seal provision` and `seal log` work with the simulated chip over TCP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meterseal.domain.image import Identity, image, read_identity
from meterseal.sim.chip.build import chip_library
from sealchip.interface import FLASH_SIZE

SEAL, METER = "000000000131", "000000000231"
COMMAND = (sys.executable, "-m", "meterseal")
WANTED = ["--seal", SEAL, "--meter", METER, "--asset-number", "GD-131", "--phone", "13800000000"]


@contextmanager
def chip(flash: Path) -> Iterator[str]:
    """Run the simulated chip on `flash`, and yield its URL."""
    chip_library(clock_hz=307_200)
    arguments = [*COMMAND, "chip", "run", "--front-end", "comparator", "--flash", str(flash)]
    with subprocess.Popen(
        [*arguments, "--tcp", "127.0.0.1:0", "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout)
        yield "socket://" + next(line for line in lines if line["what"] == "ready")["tcp"]
        process.kill()


def provision(url: str, *options: str, password: str = "000000") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "seal", "provision", "--port", url, "--password", password, *options],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_from_blank_to_sealed_in_its_place(tmp_path: Path) -> None:
    """A blank seal is provisioned despite a wrong password and an interruption, and its log is read."""
    flash = tmp_path / "seal.bin"
    flash.write_bytes(b"\xff" * FLASH_SIZE)
    key = tmp_path / "key"
    key.write_bytes(bytes(range(16)))
    with chip(flash) as url:
        refused = provision(url, "--phone", "1")
        assert refused.returncode == 1
        assert "--seal" in refused.stderr
        refused = provision(url, *WANTED, password="123456")
        assert refused.returncode == 1
        assert "wrong password" in refused.stderr
        done = provision(url, *WANTED, "--key-file", str(key), "--new-password", "654321", "--json")
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        assert shown["address"] == SEAL
        assert [item["item"] for item in shown["items"]] == [
            "meter",
            "asset",
            "key",
            "phone",
            "seal",
            "password",
        ]
        assert [item["item"] for item in shown["items"] if item["read_back"]] == ["asset", "seal"]
    with chip(flash) as url:  # as if the power had failed before the end
        done = provision(url, "--address", SEAL, *WANTED, "--new-password", "654321")
        assert done.returncode == 0, done.stderr
        refused = provision(url, "--address", SEAL, "--seal-now", password="654321")
        assert refused.returncode == 1
        assert "loop" in refused.stderr
        listed = subprocess.run(
            [*COMMAND, "seal", "log", "--port", url, "--address", SEAL, "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
        kinds = [json.loads(line)["kind"] for line in listed.stdout.splitlines()]
        assert kinds[0] == "sealing_refused"
        assert kinds.count("boot") == 2
    stored = read_identity(flash.read_bytes())
    assert (stored.seal, stored.meter, stored.asset) == (SEAL, METER, "GD-131")
    assert (stored.phone, stored.key, stored.password) == ("13800000000", bytes(range(16)), "654321")


def test_locked_out(tmp_path: Path) -> None:
    """After three wrong passwords the right one is refused as well."""
    flash = tmp_path / "seal.bin"
    flash.write_bytes(image(Identity(SEAL, "GD-131", METER)))
    with chip(flash) as url:
        for _ in range(3):
            assert provision(url, "--phone", "1", "--address", SEAL, password="123456").returncode == 1
        refused = provision(url, "--phone", "1", "--address", SEAL)
        assert refused.returncode == 1
        assert "locked out" in refused.stderr
    assert read_identity(flash.read_bytes()).phone == ""
