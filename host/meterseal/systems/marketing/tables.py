"""The schema of the marketing system; its tables stand in the modules that use them."""

from __future__ import annotations

from sqlalchemy import MetaData

from meterseal.store.database import Schema

__all__ = ["SCHEMA", "metadata"]

metadata = MetaData()
SCHEMA = Schema("marketing", 2, metadata)
