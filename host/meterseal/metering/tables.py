"""The metering system's own tables."""

from __future__ import annotations

from sqlalchemy import MetaData

from meterseal.store.database import Part

__all__ = ["PART", "metadata"]

metadata = MetaData()
PART = Part("metering", 1, metadata)
