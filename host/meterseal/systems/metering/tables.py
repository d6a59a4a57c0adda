"""This module holds the metadata of the metering system's own tables."""

from __future__ import annotations

from sqlalchemy import MetaData

from meterseal.store.database import Schema

__all__ = ["DOWNLINK", "MARKETING", "SCHEMA", "metadata"]

#: Outbox topics: what goes up to marketing, and what goes down to terminals and meters.
MARKETING, DOWNLINK = "marketing", "field"

metadata = MetaData()
SCHEMA = Schema("metering", 2, metadata)
