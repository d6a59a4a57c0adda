"""Queued messages go to Apprise URLs: WeCom, DingTalk, e-mail, webhooks and a hundred others.

Such channels do not detect duplicates: a message whose sending was cut off is sent again, with the
same record number in its title.
"""

from __future__ import annotations

import asyncio

from apprise import Apprise

from meterseal.errors import Failure
from meterseal.store.outbox import Item
from meterseal.systems.marketing.delivery import Queue
from meterseal.systems.marketing.messages import Message

__all__ = ["check_url", "run"]

#: Messages under way at a time: one dead channel does not delay the others.
TOGETHER = 8


def check_url(url: str) -> None:
    """Raise `Failure` for a URL that Apprise cannot use."""
    if not Apprise().add(url):
        raise Failure(f"{_scheme(url)}: not an Apprise URL; see https://appriseit.com for the schemes")


async def run(queue: Queue) -> None:
    """Send until cancelled."""
    while True:
        await asyncio.gather(*(_send(queue, item) for item in queue.due(TOGETHER)))
        await queue.wait()


async def _send(queue: Queue, item: Item) -> None:
    message = Message.decode(item.body)
    if await asyncio.to_thread(_notify, message):
        await queue.done(item)
    else:
        await queue.failed(item, f"{_scheme(message.to)}: the channel did not take it")


def _notify(message: Message) -> bool:
    channel = Apprise()
    return bool(channel.add(message.to) and channel.notify(body=message.text, title=message.title))


def _scheme(url: str) -> str:
    """Return the part of a URL that may be shown; the rest holds passwords."""
    return url.partition("://")[0] + "://…"
