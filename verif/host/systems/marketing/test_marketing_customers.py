"""The customer file is read, and a wrong file or a wrong start is refused with one sentence."""

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial

from meterseal.errors import Failure
from meterseal.io.pty import PtyEnd
from meterseal.store.database import Database
from meterseal.systems.marketing.customers import (
    Customer,
    list_all,
    load,
    of_account,
    of_seal,
    read,
)
from meterseal.systems.marketing.sms_sequence import next_sequence
from meterseal.systems.marketing.tables import SCHEMA

ROW = {"account": "100000000012", "name": "张三", "phone": "13800000012", "meter": "201", "seal": "101"}
ZHANG = Customer("100000000012", "张三", "13800000012", "000000000201", "000000000101")


def written(folder: Path, *rows: object) -> Path:
    file = folder / "customers.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    return file


def test_json_and_csv_are_equivalent(tmp_path: Path) -> None:
    urls = ["json://127.0.0.1/a", "wecombot://key"]
    table = tmp_path / "customers.csv"
    table.write_text(
        "account,name,phone,meter,seal,lang,notify\n"
        f"100000000012,张三,13800000012,201,101,,\n7,Li,+4412345,202,102,en,{' '.join(urls)}\n",
        encoding="utf-8",
    )
    other = {"account": 7, "name": "Li", "phone": "+4412345", "meter": "202", "seal": "102"}
    from_json = read(written(tmp_path, ROW, {**other, "lang": "en", "notify": urls}))
    assert read(table) == from_json
    assert from_json[0] == ZHANG
    assert from_json[1].notify == tuple(urls)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{**ROW, "seal": ""}], "lacks seal"),
        ([{**ROW, "phone": "12 34"}], "account 100000000012: '12 34' is not a phone number"),
        ([{**ROW, "seal": "12345678901234"}], "expected up to 12 decimal digits"),
        ([{**ROW, "lang": "fr"}], "'fr' is none of zh, en"),
        ([ROW, {**ROW, "account": "2"}], "seal 000000000101 stands there twice"),
        ([ROW, {**ROW, "seal": "2"}], "account 100000000012 stands there twice"),
        (["x"], "expected a list of objects"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, rows: list[object], reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        read(written(tmp_path, *rows))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"cannot read the customer file .*none\.json: No such file"):
        read(tmp_path / "none.json")


def test_the_store_follows_the_file(tmp_path: Path) -> None:
    database = Database(tmp_path / "marketing.db", SCHEMA)
    li = Customer("7", "Li", "123", "000000000202", "000000000102", "en", ("json://a", "json://b"))
    with database.transaction() as conn:
        load(conn, [ZHANG, li])
        assert list_all(conn) == [ZHANG, li]
        load(conn, [li])
        assert list_all(conn) == [li]
        assert of_seal(conn, li.seal) == of_account(conn, "7") == li
        assert of_seal(conn, ZHANG.seal) is None
        counts = [next_sequence(conn, number) for number in ("1", "1", "2", "1")]
        assert counts == [1, 2, 1, 3]
    database.close()


@pytest.mark.parametrize("trouble", ["no port", "busy port", "no http", "apprise"])
def test_a_wrong_start_is_one_sentence(start_link: Callable[..., Any], tmp_path: Path, trouble: str) -> None:
    options: list[object] = ["--http", "127.0.0.1:0", "--store", tmp_path / "m.db", "--wait", 0.3]
    with socket.create_server(("127.0.0.1", 0)) as taken, PtyEnd() as pty:
        wrong, sentence = {
            "no port": (["--sms-port", tmp_path / "none"], "the SMS port .*none is not there"),
            "busy port": (["--sms-port", pty.path], "is in use by another program"),
            "no http": (["--http", f"127.0.0.1:{taken.getsockname()[1]}"], "cannot listen on"),
            "apprise": (["--notify", "nonsense://x"], "nonsense://…: not an Apprise URL"),
        }[trouble]
        with serial.Serial(pty.path, exclusive=True):
            link = start_link("marketing", "run", *options, "--customers", written(tmp_path, ROW), *wrong)
            assert link.wait() == 1
    assert re.search(sentence, link.errors)
