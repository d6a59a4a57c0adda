"""The connections between the components of the chip, each one from the side that is named first.

A component lists such a connection as one member, `Out` on the side that is named first here and `In` on the
other side; `chip.py` joins the two with `wiring.connect`. Where several components read the same outputs, all
of them are joined at once.
"""

from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from .interface import IDENTITY, LOOP_NOT_MEASURED, Kind, StateClass
from .sense.classifier import NO_BASELINE_MV

__all__ = [
    "BusRequest",
    "Character",
    "CoreCommand",
    "CoreStatus",
    "DiagnosticsRead",
    "EventNotice",
    "FlashPins",
    "FrameHead",
    "FrameIn",
    "LogCommand",
    "LoopCommand",
    "LoopStatus",
    "Measurement",
    "MeterStatus",
    "NotifierFeed",
    "PublicRead",
    "RateChange",
    "RestoredBaseline",
    "SealPins",
    "SendResult",
    "Ticks",
    "Turn",
]


class FrameHead(data.Struct):
    """What is known of a received frame besides its DATA."""

    control: 8
    length: 8
    #: The address is the seal's, digit for digit or by shortened addressing.
    to_seal: 1
    #: The address is the meter's; a meter address of AA bytes in the identity stands for any meter.
    meter: 1
    broadcast: 1
    #: The address is AAAAAAAAAAAA.
    wildcard: 1


#: The pins of the chip. Boards, simulators and the exported Verilog rely on these names.
SealPins = Signature(
    {
        "loop_cmp": In(1),
        "loop_fb": Out(1),
        "loop_drive": Out(1),
        "rs485_ro": In(1, init=1),
        "rs485_di": Out(1, init=1),
        "rs485_de": Out(1),
        "flash_sck": Out(1),
        "flash_cs_n": Out(1, init=1),
        "flash_copi": Out(1),
        "flash_cipo": In(1),
        "gsm_txd": Out(1, init=1),
        "gsm_rxd": In(1, init=1),
        "led_green": Out(1),
        "led_red": Out(1),
    }
)

#: From the timebase: one-cycle strobes each millisecond, each quarter of a second and each second.
Ticks = Signature({"ms": Out(1), "quarter": Out(1), "s": Out(1)})

#: From the front end: the newest measurement of the loop.
#:
#: class_, millivolts : the class and the voltage.
#: new : strobe, they have just been measured; every millisecond with a comparator.
#: blind : the drive is off or has not settled; class and voltage stay as they were.
#: sealable : what was measured may be taken for sealed.
Measurement = Signature(
    {
        "class_": Out(StateClass),
        "millivolts": Out(16, init=LOOP_NOT_MEASURED),
        "new": Out(1),
        "blind": Out(1),
        "sealable": Out(1),
    }
)

#: From the loop monitor: what is known of the loop.
#:
#: state : the filtered class.
#: flapping : the state changes too often for an event each time.
#: baseline_mv : the voltage learned, see `is_learned`.
#: excursions : a count since reset, saturating.
#: unlogged : a change of `state`, from its very first cycle on, is not taken as an event yet; or it flaps.
LoopStatus = Signature(
    {
        "state": Out(StateClass),
        "flapping": Out(1),
        "baseline_mv": Out(16, init=NO_BASELINE_MV),
        "excursions": Out(16),
        "unlogged": Out(1),
    }
)

#: From the slave to the loop monitor: what a request has asked for or brought about; all are strobes.
#:
#: seal : take the loop as it is for sealed; `seal_done` or `seal_refused` follows in the next cycle.
#: locked_out, provisioned : these are logged as events.
LoopCommand = Signature(
    {
        "seal": Out(1),
        "seal_done": In(1),
        "seal_refused": In(1),
        "locked_out": Out(1),
        "provisioned": Out(1),
    }
)

#: From the control core to the loop monitor: what was learned before this power-up.
#:
#: valid : the log has been restored, `baseline_mv` holds from now on.
#: baseline_mv : of the newest event in the log; FFFF without one.
RestoredBaseline = Signature({"valid": Out(1), "baseline_mv": Out(16, init=LOOP_NOT_MEASURED)})

#: From the control core: what is known of identity and log.
#:
#: identity_ready : the identity has been read.
#: identity_valid : one of its slots was right, so the seal has an address.
#: log_ready : the log has been restored.
#: pending : the log holds unacknowledged events.
CoreStatus = Signature(
    {"identity_ready": Out(1), "identity_valid": Out(1), "log_ready": Out(1), "pending": Out(1)}
)

#: From the slave to the control core: one command, which holds with all that belongs to it until `done`.
#:
#: start, command, value : the command, a `layout.Command`, and its operand.
#: done, right : strobe, and in its cycle whether the command was accepted or there is such an entry.
#: position, content : a byte of the request's DATA that the core asks for, one cycle later.
#: spoiled : another frame has begun, so DATA may be that frame's.
#: lock_tick : strobe every 128 seconds, for the lock-out.
CoreCommand = Signature(
    {
        "start": Out(1),
        "command": Out(3),
        "value": Out(8),
        "done": In(1),
        "right": In(1),
        "position": In(6),
        "content": Out(8),
        "spoiled": Out(1),
        "lock_tick": In(1),
    }
)

#: From the reporter to the control core: commands about the oldest unacknowledged event, held until `done`.
#:
#: oldest : make its record; in the cycle of `done`, `found` is whether there is one.
#: acknowledge : mark it as acknowledged.
LogCommand = Signature({"oldest": Out(1), "acknowledge": Out(1), "done": In(1), "found": In(1)})

#: From a reader of the control core's public memory.
#:
#: active : the reader uses the port; of two at once the first one has it.
#: address, byte : the byte follows its address one cycle later.
#: reading : the byte is needed, so nothing is published in this cycle.
PublicRead = Signature({"active": Out(1), "address": Out(8), "byte": In(8), "reading": Out(1)})

#: From the framer to the source of diagnostics.
#:
#: hold : the answer is being sent; its bytes stay as they are.
#: index, byte : the byte follows its index one cycle later.
DiagnosticsRead = Signature({"hold": Out(1), "index": Out(6), "byte": In(8)})

#: From the control core to the notifier: events and what messages about them are made of.
#:
#: valid, kind, state : strobe, an event has been logged.
#: tick_s : strobe, a second has passed.
#: identity_address, identity_byte : a byte of the identity, one cycle later.
#: identity_reading : that byte is needed.
#: clock_index, clock_byte : a byte of the time, one cycle later.
#: clock_valid : the time is right.
#: clock_free : the time can be read.
NotifierFeed = Signature(
    {
        "valid": Out(1),
        "kind": Out(Kind),
        "state": Out(StateClass),
        "tick_s": Out(1),
        "identity_address": In(range(IDENTITY.size)),
        "identity_byte": Out(8),
        "identity_reading": In(1),
        "clock_index": In(3),
        "clock_byte": Out(8),
        "clock_valid": Out(1),
        "clock_free": Out(1),
    }
)

#: From the control core to the outside.
FlashPins = Signature({"sck": Out(1), "cs_n": Out(1, init=1), "copi": Out(1), "cipo": In(1)})

#: From a receiver: strobe `valid`, a character has come; with `error` its parity or its stop bit was wrong.
Character = Signature({"valid": Out(1), "data": Out(8), "error": Out(1)})

#: From the transceiver: how the frame that was being sent has ended; both are strobes.
#:
#: done : it was sent whole.
#: broken : it was given up, in the last cycle of the driver.
SendResult = Signature({"done": Out(1), "broken": Out(1)})

#: From the deframer: the frames of others.
#:
#: valid : strobe, a frame has ended whole; `head` holds until the next one begins.
#: begun : strobe, the first 68H of a frame.
FrameIn = Signature({"valid": Out(1), "begun": Out(1), "head": Out(FrameHead)})

#: From the slave to the selection of the baud rate: strobe `take` brings the rate of that number into force.
RateChange = Signature({"take": Out(1), "number": Out(3)})

#: From the reporter to the bus access: `draw` asks for a new slot, `free` permits a frame to start now.
BusRequest = Signature({"draw": Out(1), "free": In(1)})

#: From the reporter to the slave: which of the two has log and framer.
#:
#: reporting : the framer sends for the reporter, so the slave must not begin.
#: answering : the slave is at work on a request, so the reporter must not begin.
Turn = Signature({"reporting": Out(1), "answering": In(1)})

#: To the reporter: a new event.
#:
#: pending : an event is queued or being written; low at a rate where its record is not ready in time.
#: logged : strobe, an event has been logged.
EventNotice = Signature({"pending": Out(1), "logged": Out(1)})

#: From the reporter: how far the meter knows the events.
#:
#: exchanged : a report has been acknowledged since power-up.
#: failed : the last report was not acknowledged in time.
MeterStatus = Signature({"exchanged": Out(1), "failed": Out(1)})
