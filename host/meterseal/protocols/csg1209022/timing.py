"""Times of the uplink in seconds, as both of its sides use them unless they are configured otherwise."""

from __future__ import annotations

__all__ = ["ANSWER_TIME", "HEARTBEAT", "PARTIAL_FRAME"]

#: Period of a terminal's heartbeats.
HEARTBEAT = 900.0
#: After this long without an answer or a confirmation a message is repeated or given up.
ANSWER_TIME = 20.0
#: After this long without a byte that completes anything a started frame is given up.
PARTIAL_FRAME = 10.0
