"""Records with right, forged and replayed MACs, stored keys and challenges are tested over real sockets."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import threading

import httpx
import pytest
from typer.testing import CliRunner

from meterseal.domain.record import Kind, StateClass
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.errors import Failure
from meterseal.protocols import handover
from meterseal.protocols.csg1209022.relay import RelayAnswer, RelayRequest
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.requests import Write
from meterseal.store import alarms, events, outbox
from meterseal.systems.metering import quarantine
from meterseal.systems.metering.cli import app
from sealchip.interface import Di, Flags

KEY, OTHER_KEY = bytes(range(1, 17)), bytes(range(2, 18))
MASTER = "0123456789ABCDEFFEDCBA9876543210"


@pytest.fixture
def files(tmp_path, make):
    """Make a master key, keys for the seal, and a store that has them."""
    (tmp_path / "master").write_text(MASTER)
    (tmp_path / "keys.json").write_text(json.dumps({make.seal: KEY.hex()}))
    keys("import", tmp_path / "keys.json", "--master-key", tmp_path / "master", tmp_path)
    return tmp_path


def keys(*arguments):
    """Run `meterseal metering keys … --store` on the folder given last, and return its output."""
    *arguments, folder = arguments
    shown = CliRunner().invoke(app, ["keys", *map(str, arguments), "--store", str(folder / "metering.db")])
    if isinstance(shown.exception, Failure):
        raise shown.exception
    assert shown.exit_code == 0, shown.output
    assert KEY.hex() not in shown.output.lower()
    return shown.output


@pytest.fixture
def metering(start_metering, files):
    return start_metering("--master-key", files / "master", "--request-timeout", "5")


def events_of(metering):
    found = httpx.get(f"{metering.http}/api/events").json()["events"]
    return [(one["counter"], one["signature"]) for one in found]


def test_signed_records_are_verified(metering, connect, make):
    terminal = connect(metering).login()
    assert terminal.report(make.report(1, key=KEY)) is True
    assert terminal.report(make.opened(2, key=KEY)) is True
    assert events_of(metering) == [(2, "verified"), (1, "verified")]
    assert metering.active == {("SEAL_OPEN_UNMATCHED", make.seal)}


def test_a_seal_without_a_stored_key_is_believed_and_shown_as_unchecked(metering, connect, make):
    other = "000000000102"
    terminal = connect(metering).login()
    assert terminal.report(make.report(1, seal=other)) is True
    assert terminal.report(make.report(2, seal=other, key=OTHER_KEY)) is True
    assert events_of(metering) == [(2, "unchecked"), (1, "unchecked")]
    assert metering.active == set()


@pytest.mark.parametrize("key", [OTHER_KEY, None], ids=["wrong MAC", "unsigned"])
def test_a_forged_closing_clears_nothing(metering, connect, make, key):
    """A forged closing is confirmed, kept and alarmed; the seal's own closing of that number still counts."""
    terminal = connect(metering).login()
    assert terminal.report(make.opened(1, key=KEY)) is True
    forged = make.closed(2, key=key)
    for _ in range(2):
        assert terminal.report(forged) is True
    alarmed = {("SEAL_OPEN_UNMATCHED", make.seal), ("SEAL_AUTH_FAIL", make.seal)}
    assert metering.active == alarmed
    metering.link.wait_for("alarm", code="SEAL_AUTH_FAIL", seal=make.seal, counter=2, raised=True)
    assert metering.counters == [(make.seal, 1)]
    assert [one.report for one in metering.read(quarantine.waiting)] == [forged]
    assert metering.read(lambda conn: outbox.pending(conn, "field")) == 1
    (detail,) = [one.detail for one in metering.read(alarms.active) if one.code == "SEAL_AUTH_FAIL"]
    assert "terminal 440106:1" in detail
    assert ("not signed" in detail) == (key is None)
    assert terminal.report(make.closed(2, key=KEY)) is True
    assert metering.active == {("SEAL_AUTH_FAIL", make.seal)}
    assert events_of(metering) == [(2, "verified"), (1, "verified")]


def test_unsigned_records_can_be_allowed(start_metering, files, connect, make):
    metering = start_metering("--master-key", files / "master", "--allow-unsigned")
    terminal = connect(metering).login()
    assert terminal.report(make.report(1)) is True
    assert terminal.report(make.opened(2, key=OTHER_KEY)) is True
    assert events_of(metering) == [(1, "unsigned")]
    assert metering.active == {("SEAL_AUTH_FAIL", make.seal)}


def test_an_old_number_with_another_fact_is_a_replay(metering, connect, make):
    terminal = connect(metering).login()
    assert terminal.report(make.report(1, key=KEY)) is True
    assert terminal.report(make.opened(2, key=KEY)) is True
    assert terminal.report(make.closed(2, key=KEY)) is True
    expected = {"SEAL_OPEN_UNMATCHED", "SEAL_REPLAY", "EVIDENCE_CONFLICT"}
    assert metering.active == {(code, make.seal) for code in expected}
    # Another copy of the same fact has no effect.
    assert terminal.report(make.report(1, key=KEY, age=99)) is True
    assert len(metering.read(events.conflicts)) == 1


def test_a_corrected_key_brings_back_what_was_quarantined(start_metering, files, connect, make):
    (files / "keys.json").write_text(json.dumps({make.seal: OTHER_KEY.hex()}))
    imported = keys("import", files / "keys.json", "--master-key", files / "master", files)
    assert imported == "0 new, 1 changed, 0 known already\n"
    metering = start_metering("--master-key", files / "master")
    terminal = connect(metering).login()
    assert terminal.report(make.opened(1, key=KEY)) is True
    assert terminal.report(make.report(2, key=bytes(16))) is True
    assert metering.counters == []
    assert metering.link.stop() == 0

    (files / "keys.json").write_text(json.dumps({make.seal: KEY.hex()}))
    keys("import", files / "keys.json", "--master-key", files / "master", files)
    metering = start_metering("--master-key", files / "master")
    metering.link.wait_for("event", seal=make.seal, counter=1)
    metering.link.wait_for("alarm", code="SEAL_AUTH_FAIL", seal=make.seal, counter=1, raised=False)
    assert metering.counters == [(make.seal, 1)]
    assert metering.active == {("SEAL_OPEN_UNMATCHED", make.seal), ("SEAL_AUTH_FAIL", make.seal)}
    assert [one.event.counter for one in metering.read(quarantine.waiting)] == [2]


# Verdicts and replays are passed on


class Meter:
    """Stands for a meter on the bus of a terminal, which accepts verdicts after a while."""

    def __init__(self, answers):
        self.answers = answers
        self.taken = []

    def __call__(self, frame):
        request = Frame.decode(RelayRequest.decode(frame.content).frame)
        write = Write.parse(request)
        assert (write.di, write.password) == (Di.VERDICT, bytes.fromhex("02563412"))
        self.taken.append(RecordVerdict.decode(write.data))
        return self.answers(frame, request)


def acknowledge(frame, request):
    return frame.answer(RelayAnswer(Frame(request.address, 0x94).encode(preamble=0)).encode()).encode()


def refuse(frame, request):
    return frame.answer(RelayAnswer(Frame(request.address, 0xD4, b"\4").encode(preamble=0)).encode()).encode()


def deny(frame, request):
    return frame.confirmation(ok=False).encode()


def test_a_verdict_is_repeated_until_the_meter_has_it(start_metering, files, connect, make, eventually):
    """Terminal and meter refuse a verdict until the meter takes it once; marketing gets each forgery once."""
    metering = start_metering("--master-key", files / "master", "--meter-password", "123456")
    terminal = connect(metering).login()
    todo = [deny, refuse, acknowledge]
    terminal.bus = Meter(lambda frame, request: todo.pop(0)(frame, request))
    for _ in range(2):
        assert terminal.report(make.closed(2, key=OTHER_KEY), point=3) is True

    def served():
        terminal.step(0.01)
        return metering.read(lambda conn: outbox.pending(conn, "field")) == 0

    eventually(served)
    forged = make.record(2, Kind.CLOSED, key=OTHER_KEY)
    assert terminal.bus.taken == 3 * [RecordVerdict.on(forged, VerdictCode.AUTH_FAIL)]
    (queued,) = [item for item in metering.read(outbox.history) if item.topic == "marketing"]
    finding = handover.decode(queued.body)
    assert finding.verdict == terminal.bus.taken[0]
    assert "MAC wrong under the seal's key" in finding.detail


def test_a_replayed_report_is_handed_on_once(metering, connect, make, ago):
    terminal = connect(metering).login()
    assert terminal.report(make.closed(1, key=KEY, at=ago(60))) is True
    assert terminal.report(make.opened(2, key=KEY, at=ago(40))) is True
    for _ in range(2):
        assert terminal.report(make.closed(1, key=KEY, at=ago(20))) is True
    assert metering.active == {("SEAL_OPEN_UNMATCHED", make.seal), ("SEAL_REPLAY", make.seal)}
    handed_on = [handover.decode(item.body) for item in reversed(metering.read(outbox.history))]
    assert [event.counter for event in handed_on] == [1, 2, 1]
    assert handed_on[2].received_at > handed_on[1].received_at


# Challenges on demand


class Seal:
    """Stands for a seal on the bus of a terminal, which signs its newest record over each challenge."""

    def __init__(self, make):
        self.make = make
        self.key = KEY
        self.newest = (1,)
        self.challenges = []
        self.echo = lambda challenge: challenge

    def __call__(self, frame):
        request = Frame.decode(RelayRequest.decode(frame.content).frame)
        if request.di == Di.CHALLENGE:
            self.challenges.append(request.data[12:])
            answer = Frame(request.address, 0x94)
        else:
            answer = Frame(request.address, 0x91, request.data + self.record())
        return frame.answer(RelayAnswer(answer.encode(preamble=0)).encode()).encode()

    def record(self):
        echo = self.echo(self.challenges[-1]) if self.challenges else None
        more = {} if echo is None else {"challenge": echo, "flags": Flags.CHALLENGED}
        return self.make.record(*self.newest, key=self.key, **more)


@pytest.fixture
def seal(metering, connect, make):
    """Serve a seal in the background after it has reported once."""
    terminal = connect(metering).login()
    assert terminal.report(make.report(1, key=KEY)) is True
    terminal.bus = Seal(make)
    end = threading.Event()

    def serve():
        while not end.is_set():
            terminal.step(0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    yield terminal.bus
    end.set()
    thread.join()


def read(metering, seal, **params):
    answer = httpx.post(f"{metering.http}/api/seals/{seal}/read", params=params, timeout=30)
    return answer.status_code, answer.json()


def test_a_challenge_is_answered(metering, seal, make):
    for number in (1, 2):
        status, body = read(metering, make.seal, challenge=1)
        assert status == 200, body
        assert (body["verified"], body["signature"], body["known"]) == (True, "verified", True)
        assert body["challenge"] == seal.challenges[-1].hex().upper()
        assert len(set(seal.challenges)) == number, "another challenge each time"
    assert metering.active == set()
    _, body = read(metering, make.seal)
    assert (body["verified"], body["challenge"]) == (True, None)


def test_challenges_of_one_seal_wait_for_each_other(metering, seal, make):
    answers = []
    asking = [
        threading.Thread(target=lambda: answers.append(read(metering, make.seal, challenge=1)))
        for _ in range(4)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert [body["verified"] for _, body in answers] == [True] * 4
    assert len(seal.challenges) == 4


@pytest.mark.parametrize("echo", [lambda _: b"old!", lambda _: None], ids=["another echo", "no echo"])
def test_an_old_answer_is_a_replay(metering, seal, make, echo):
    seal.echo = echo
    status, body = read(metering, make.seal, challenge=1)
    assert (status, body["verified"], body["signature"]) == (200, False, "verified")
    assert len(seal.challenges) == 2, "somebody may have come in between: tried once more"
    assert metering.active == {("SEAL_REPLAY", make.seal)}
    handed_on = [
        handover.decode(item.body) for item in metering.read(outbox.history) if item.topic == "marketing"
    ]
    assert handed_on[0].verdict.code is VerdictCode.REPLAY
    metering.link.wait_for("alarm", code="SEAL_REPLAY", seal=make.seal, counter=1, raised=True)


def test_a_challenge_that_comes_in_between_is_forgiven(metering, seal, make):
    seal.echo = lambda challenge: challenge if len(seal.challenges) > 1 else b"else"
    assert read(metering, make.seal, challenge=1)[1]["verified"] is True
    assert metering.active == set()


@pytest.mark.parametrize("key", [OTHER_KEY, None], ids=["wrong MAC", "unsigned"])
def test_a_forged_answer_is_alarmed(metering, seal, make, key):
    seal.key = key
    status, body = read(metering, make.seal, challenge=1)
    assert (status, body["verified"]) == (200, False)
    assert body["signature"] == ("unsigned" if key is None else "wrong")
    assert metering.active == {("SEAL_AUTH_FAIL", make.seal)}


def test_a_challenge_proves_a_quarantined_report(metering, seal, make, connect):
    """The meter took the real event for a repetition of a forged one; a challenge makes the event count."""
    other = connect(metering, 2).login()
    assert other.report(make.opened(2, key=OTHER_KEY)) is True
    assert metering.active == {("SEAL_AUTH_FAIL", make.seal)}
    read(metering, make.seal, challenge=1)
    assert metering.counters == [(make.seal, 1)], "another event is proved"
    seal.newest = (2, Kind.OPENED, StateClass.OPEN)
    read(metering, make.seal)
    assert metering.counters == [(make.seal, 1)], "it may be an old answer"
    for _ in range(2):
        assert read(metering, make.seal, challenge=1)[1]["verified"] is True
    assert events_of(metering) == [(2, "verified"), (1, "verified")]
    assert metering.active == {("SEAL_AUTH_FAIL", make.seal), ("SEAL_OPEN_UNMATCHED", make.seal)}
    assert metering.read(quarantine.waiting) == []


def test_a_meter_cannot_answer_a_challenge(metering, seal, make):
    status, body = read(metering, make.seal, challenge=1, **{"from": "meter"})
    assert (status, body["detail"]) == (422, "only the seal itself can answer a challenge")
    assert seal.challenges == []


def test_the_read_command_challenges(metering, seal, make):
    asked = ["read", "--url", metering.http, "--seal", make.seal, "--challenge"]
    assert "known=True verified=True" in CliRunner().invoke(app, asked).output


# Keys


def test_keys_are_encrypted_at_rest(files, make):
    content = b"".join(file.read_bytes() for file in files.glob("metering.db*"))
    assert KEY not in content
    assert KEY.hex().encode() not in content.lower()
    listed = json.loads(keys("list", "--json", files))["keys"]
    assert [one["seal"] for one in listed] == [make.seal]
    assert make.seal in keys("list", files)


def test_keys_are_imported_again_and_forgotten(files, make):
    (files / "keys.json").write_text(json.dumps({"101": KEY.hex(), "102": OTHER_KEY.hex()}))
    imported = keys("import", files / "keys.json", "--master-key", files / "master", files)
    assert imported == "1 new, 0 changed, 1 known already\n"
    keys("forget", "102", files)
    assert "000000000102" not in keys("list", files)
    with pytest.raises(Failure, match="seal 102 has no key"):
        keys("forget", "102", files)


def run_fails(start_link, files, *options):
    """Start the system on the store, which fails; return what it prints."""
    arguments = ["run", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--store", files / "metering.db"]
    link = start_link("metering", *arguments, *options)
    assert link.wait() == 1
    return link.errors


def test_a_key_moved_to_another_seal_is_noticed(start_link, files):
    with contextlib.closing(sqlite3.connect(files / "metering.db")) as conn:
        conn.execute("UPDATE seal_keys SET seal = '000000000999'")
        conn.commit()
    message = run_fails(start_link, files, "--master-key", files / "master")
    assert "does not fit the stored key of seal 000000000999" in message


@pytest.mark.parametrize(
    ("master", "sentence"),
    [
        (None, "the store keeps keys of 1 seals: give their --master-key FILE"),
        ("wrong", "wrong does not fit the stored key of seal 000000000101: give the one"),
        ("missing", "missing: No such file or directory"),
        ("short", "short: expected 16 bytes or 32 hexadecimal digits"),
    ],
)
def test_a_master_key_that_does_not_fit_is_one_clear_sentence(start_link, files, master, sentence):
    (files / "wrong").write_bytes(bytes(16))
    (files / "short").write_bytes(bytes(15))
    options = [] if master is None else ["--master-key", files / master]
    message = run_fails(start_link, files, *options)
    assert re.fullmatch(f"meterseal: .*{re.escape(sentence)}.*\n", message)
    if master is not None:
        with pytest.raises(Failure, match=re.escape(sentence)):
            keys("import", files / "keys.json", "--master-key", files / master, files)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ('{"x": "00"}', "seal address 'x'"),
        ('{"1": "00"}', "seal 1: expected 32 hexadecimal digits"),
        ('{"1": "%s"}' % ("0" * 32), "seal 1: a key of zeros"),
        ('{"1": 7}', "seal 1: expected 32"),
        (None, "No such file"),
    ],
)
def test_bad_keys_are_named_and_nothing_is_stored(files, content, sentence):
    file = files / "bad.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Failure, match=sentence):
        keys("import", file, "--master-key", files / "master", files)
    assert len(keys("list", files).splitlines()) == 1


def test_keys_are_not_changed_under_a_running_system(metering, files, make):
    with pytest.raises(Failure, match="a running system uses it; stop that first"):
        keys("forget", make.seal, files)
    assert make.seal in keys("list", files)
