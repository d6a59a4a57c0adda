"""Marketing runs as a process with real HTTP, a real modem and a real webhook."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from meterseal.clock import CST
from meterseal.domain.event import SealEvent
from meterseal.domain.record import Flags, Kind, SealRecord, StateClass
from meterseal.domain.verdict import RecordVerdict, VerdictCode
from meterseal.protocols import handover

StartLink = Callable[..., Any]
Eventually = Callable[[Callable[[], bool]], None]

SEAL, STRANGER = "000000000101", "000000000999"
PHONE = "13800000012"
NOON = datetime(2026, 11, 22, 13, 5, 9, tzinfo=CST)


def event(
    counter: int,
    kind: Kind,
    state: StateClass,
    *,
    seal: str = SEAL,
    flags: Flags = Flags(0),  # noqa: B008 - an immutable value
    loop_mv: int | None = 3900,
) -> SealEvent:
    record = SealRecord(seal, 1, counter, kind, state, loop_mv, flags).encode()
    at = NOON + timedelta(minutes=counter)
    return SealEvent.from_record(
        record, meter="000000000201", occurred_at=at, received_at=at, terminal="440106:1"
    )


BOOT = event(1, Kind.BOOT, StateClass.SEALED)
OPENED = event(2, Kind.OPENED, StateClass.OPEN, loop_mv=12)
CLOSED = event(3, Kind.CLOSED, StateClass.SEALED)


class Webhook:
    """Keeps what an Apprise `json://` URL delivers, and refuses the first `refusals` calls."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, str]] = []
        self.refusals = 0
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                refused = webhook.refusals > 0
                webhook.refusals -= refused
                if not refused:
                    webhook.bodies.append(body)
                self.send_response(503 if refused else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}/"

    def texts(self) -> list[str]:
        return [body["message"] for body in self.bodies]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    thread = threading.Thread(target=hook.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()
    thread.join()


class Marketing:
    """Holds the process and its HTTP client; `start` uses the same command again after each `kill`."""

    def __init__(self, start_link: StartLink, folder: Path, *options: object, **customer: object) -> None:
        file = folder / "customers.json"
        entry = {"account": "100000000012", "name": "张三", "phone": PHONE, "meter": "201", "seal": "101"}
        file.write_text(json.dumps([{**entry, **customer}]), encoding="utf-8")
        common = ["run", "--http", "127.0.0.1:0", "--store", folder / "marketing.db", "--customers", file]
        self._start = lambda: start_link("marketing", *common, *options)
        self.start()

    def start(self) -> None:
        self.link = self._start()
        self.base = "http://" + self.link.wait_for("ready")["http"]

    def post(self, *events: SealEvent) -> list[tuple[int, Any]]:
        return self.post_bodies(map(handover.encode, events))

    def post_bodies(self, bodies: Iterable[bytes]) -> list[tuple[int, Any]]:
        answers = []
        with httpx.Client(base_url=self.base, trust_env=False) as client:
            for body in bodies:
                answer = client.post("/events", content=body, headers={"content-type": handover.CONTENT_TYPE})
                answers.append((answer.status_code, answer.json()))
        return answers

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.base + path, trust_env=False)

    def api(self, path: str) -> Any:
        return self.get("/api/" + path).raise_for_status().json()

    def sent(self) -> int:
        return sum(message["state"] == "sent" for message in self.api("messages")["messages"])


@pytest.fixture
def modem(start_link: StartLink, tmp_path: Path) -> Callable[..., Any]:
    def start(*options: object) -> Any:
        store = ["--store", tmp_path / "customer.db"]
        link = start_link("customer", "run", "--pty", tmp_path / "modem", *store, *options)
        link.wait_for("ready")
        return link

    return start


@pytest.fixture
def sms(tmp_path: Path) -> list[object]:
    return ["--sms-port", tmp_path / "modem", "--sms-timeout", 1]


def phone(folder: Path) -> list[tuple[str, str]]:
    from meterseal.sim.customer.network import SCHEMA, inbox
    from meterseal.store.database import Database

    database = Database(folder / "customer.db", SCHEMA, read_only=True)
    try:
        return [(received.number, received.text) for received in inbox(database)]
    finally:
        database.close()


TEXTS = [
    (
        PHONE,
        "【供电局】户号尾号0012电表封印于11-22 13:07被打开,未查到授权工单,正在核实。"
        "如知情请回复或致电95598。记录号EV000002",
    ),
    (
        PHONE,
        "【供电局】户号尾号0012电表封印已于11-22 13:08复封并核验完好,请确认。"
        "如有疑问请致电95598。记录号EV000003",
    ),
]


def test_a_finding_is_alarmed_and_sent_to_the_staff_once(
    start_link: StartLink, tmp_path: Path, webhook: Webhook, eventually: Eventually
) -> None:
    marketing = Marketing(start_link, tmp_path, "--notify", webhook.url)
    verdict = RecordVerdict.on(CLOSED.record, VerdictCode.AUTH_FAIL)
    finding = handover.Finding(verdict, "report by terminal 440106:1: MAC wrong", NOON)
    marketing.post(BOOT, OPENED)
    bodies = 2 * [handover.encode_finding(finding)]
    assert marketing.post_bodies(bodies) == [
        (200, {"outcome": "new", "number": None}),
        (200, {"outcome": "known", "number": None}),
    ]
    active = marketing.api("alarms?active=true")["alarms"]
    assert {(alarm["code"], alarm["counter"]) for alarm in active} == {
        ("SEAL_AUTH_FAIL", 3),
        ("SEAL_OPEN_UNMATCHED", 2),
    }
    eventually(lambda: len(webhook.texts()) == 2)
    assert webhook.texts()[1] == "封印000000000101:封印记录校验失败。事件计数3"


def test_an_opening_reaches_phone_and_staff_with_one_record_number(
    start_link: StartLink,
    tmp_path: Path,
    modem: StartLink,
    sms: list[object],
    webhook: Webhook,
    eventually: Eventually,
) -> None:
    customer = modem()
    marketing = Marketing(start_link, tmp_path, *sms, "--notify", webhook.url)
    answers = marketing.post(BOOT, OPENED, CLOSED)
    assert answers == [(200, {"outcome": "new", "number": f"EV00000{n}"}) for n in (1, 2, 3)]
    for _, text in TEXTS:
        customer.wait_for("message", number=PHONE, text=text)
    eventually(lambda: len(webhook.bodies) == 2)
    assert sorted(webhook.texts()) == sorted(text for _, text in TEXTS)
    assert {body["title"] for body in webhook.bodies} == {"电表封印通知 EV000002", "电表封印通知 EV000003"}
    marketing.link.wait_for("alarm", code="SEAL_OPEN_UNMATCHED", counter=2, raised=True)
    marketing.link.wait_for("alarm", code="SEAL_OPEN_UNMATCHED", counter=2, raised=False)
    eventually(lambda: marketing.sent() == 4)
    assert marketing.link.stop() == 0
    assert customer.stop() == 0


def test_repetitions_are_answered_alike_and_send_nothing_twice(
    start_link: StartLink, tmp_path: Path, modem: StartLink, sms: list[object], eventually: Eventually
) -> None:
    modem()
    marketing = Marketing(start_link, tmp_path, *sms)
    first = marketing.post(BOOT, OPENED)
    assert [answer["outcome"] for _, answer in marketing.post(BOOT, OPENED)] == ["known", "known"]
    assert [answer["number"] for _, answer in first] == ["EV000001", "EV000002"]
    marketing.post(CLOSED)
    eventually(lambda: marketing.sent() == 2)
    assert phone(tmp_path) == TEXTS
    assert len(marketing.api("events")["events"]) == 3


def test_refusals_silence_echo_and_chatter_delay_but_lose_and_double_nothing(
    start_link: StartLink, tmp_path: Path, modem: StartLink, sms: list[object], eventually: Eventually
) -> None:
    modem("--fail-every", 2, "--silent-every", 3, "--echo", "--unsolicited")
    marketing = Marketing(start_link, tmp_path, *sms)
    marketing.post(BOOT, OPENED, CLOSED)
    eventually(lambda: marketing.sent() == 2)
    assert sorted(phone(tmp_path)) == sorted(TEXTS)


def test_sigkill_between_any_two_steps_loses_and_doubles_nothing(
    start_link: StartLink,
    tmp_path: Path,
    modem: StartLink,
    sms: list[object],
    webhook: Webhook,
    eventually: Eventually,
) -> None:
    customer = modem("--slow", 0.5)
    marketing = Marketing(start_link, tmp_path, *sms, notify=[webhook.url])
    webhook.refusals = 1000
    marketing.post(BOOT, OPENED)
    customer.wait_for("message", number=PHONE)
    # Both are killed while the network has the message and marketing does not know it yet.
    marketing.link.kill()
    customer.kill()
    customer = modem()
    marketing.start()
    assert [answer["outcome"] for _, answer in marketing.post(OPENED, CLOSED)] == ["known", "new"]
    customer.wait_for("message", text=TEXTS[1][1])
    # The modem's process ends and is started again while marketing runs.
    customer.kill()
    marketing.post(event(4, Kind.OPENED, StateClass.OPEN))
    customer = modem()
    customer.wait_for("message", number=PHONE)
    webhook.refusals = 0
    eventually(lambda: marketing.sent() == 6)
    assert [number for number, _ in phone(tmp_path)] == [PHONE] * 3
    assert phone(tmp_path)[:2] == TEXTS
    assert len(webhook.bodies) == 3


def test_an_unknown_seal_is_stored_alarmed_and_sent_to_staff(
    start_link: StartLink, tmp_path: Path, webhook: Webhook, eventually: Eventually
) -> None:
    marketing = Marketing(start_link, tmp_path, "--notify", webhook.url)
    marketing.post(event(1, Kind.OPENED, StateClass.OPEN, seal=STRANGER))
    (row,) = marketing.api("events")["events"]
    assert (row["seal"], row["number"]) == (STRANGER, "EV000001")
    codes = {alarm["code"] for alarm in marketing.api("alarms")["alarms"]}
    assert codes == {"SEAL_OPEN_UNMATCHED", "UNKNOWN_DEVICE"}
    eventually(lambda: len(webhook.bodies) == 1)
    assert webhook.texts() == [f"封印{STRANGER}:封印被打开,未查到授权工单;未建档的封印。记录号EV000001"]
    assert marketing.api("diagnostics")["diagnostics"][0]["what"] == "unknown_seal"
    # The seal is no longer unknown once the customer file contains it.
    marketing.link.stop()
    marketing = Marketing(start_link, tmp_path, seal=STRANGER)
    active = marketing.api("alarms?active=true")["alarms"]
    assert [alarm["code"] for alarm in active] == ["SEAL_OPEN_UNMATCHED"]


def test_a_body_without_an_event_is_refused_and_kept(start_link: StartLink, tmp_path: Path) -> None:
    marketing = Marketing(start_link, tmp_path)
    kind = {"content-type": handover.CONTENT_TYPE}

    def post(body: bytes, headers: dict[str, str]) -> int:
        return httpx.post(
            marketing.base + "/events", content=body, headers=headers, trust_env=False
        ).status_code

    lie = handover.encode(OPENED).replace(b'"opened"', b'"closed"')
    assert post(b"{}", {"content-type": "text/plain"}) == 415
    assert post(b"x" * 70_000, kind) == 413
    assert post(b"{", kind) == 422
    assert post(lie, kind) == 422
    documents = marketing.api("diagnostics")
    assert [bytes.fromhex(kept["raw"]) for kept in documents["kept"]] == [lie, b"{"]
    assert documents["diagnostics"][0]["count"] == 2
    assert marketing.api("events")["events"] == []


def test_the_json_interface(start_link: StartLink, tmp_path: Path) -> None:
    marketing = Marketing(start_link, tmp_path, notify=["json://user:secret@127.0.0.1:9/"])
    marketing.post(BOOT, OPENED)
    (seal,) = marketing.api("seals")["seals"]
    assert (seal["seal"], seal["state"], seal["account"]) == (SEAL, "open", "100000000012")
    assert seal["verified_at"] == "2026-11-22T13:07:09.000+08:00"
    assert seal["alarms"] == ["SEAL_OPEN_UNMATCHED"]
    assert [row["counter"] for row in marketing.api("seals/101")["events"]] == [2, 1]
    assert [row["kind"] for row in marketing.api(f"events?seal={SEAL}&limit=1")["events"]] == ["opened"]
    (alarm,) = marketing.api("alarms?active=true")["alarms"]
    assert (alarm["code"], alarm["number"]) == ("SEAL_OPEN_UNMATCHED", "EV000002")
    assert marketing.api("alarms?active=false")["alarms"] == []
    file = marketing.api("customers/100000000012")
    assert (file["name"], file["seal"]["state"], len(file["events"])) == ("张三", "open", 2)
    assert [customer["account"] for customer in marketing.api("customers")["customers"]] == [file["account"]]
    by_channel = {message["channel"]: message for message in marketing.api("messages")["messages"]}
    assert by_channel["sms"]["to"] == PHONE
    assert by_channel["sms"]["state"] == "waiting"
    assert by_channel["apprise"]["to"] == "json://…"
    assert "secret" not in marketing.get("/api/messages").text
    assert marketing.get("/healthz").json() == {"status": "ok", "waiting": 2, "modem": "none"}
    assert "/api/seals" in marketing.get("/openapi.json").json()["paths"]
    for missing in ("/api/seals/5", "/api/customers/5", "/customers/5"):
        assert marketing.get(missing).status_code == 404


def test_the_pages_in_both_languages(start_link: StartLink, tmp_path: Path) -> None:
    marketing = Marketing(start_link, tmp_path, name="<b>张三</b>")
    assert "尚无记录" in marketing.get("/").text
    marketing.post(BOOT, OPENED, event(3, Kind.BOOT, StateClass.LOW, loop_mv=2100))
    page = marketing.get("/").text
    for words in (
        'lang="zh-CN"',
        "回路电压偏低",
        "封印被打开,未查到授权工单",
        "EV000003",
        "2.10 V",
        "138****0012",
    ):
        assert words in page
    assert PHONE not in page
    assert "<script" not in page
    assert "&lt;b&gt;张三" in page
    english = marketing.get("/?lang=en").text
    assert 'lang="en"' in english
    assert "Loop voltage low" in english
    file = marketing.get("/customers/100000000012?lang=en").text
    assert "Last verified at" in file
    assert "2026-11-22 13:08:09" in file
    assert "没有这个户号" in marketing.get("/customers/5").text
