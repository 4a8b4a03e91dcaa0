"""The nouns of the gateway: tag, batch, quality, record. Knows numpy and the standard library only."""

from gateway.model.batch import Batch, Kind
from gateway.model.catalog import Catalog
from gateway.model.quality import Quality
from gateway.model.record import Record
from gateway.model.tag import Tag

__all__ = ["Batch", "Catalog", "Kind", "Quality", "Record", "Tag"]
