"""lexilog explains VPN gateway log messages while they flow.

>>> from lexilog import Pipeline, Record, document
>>> line = "Aug  3 10:18:44 srx1 kmd[14162]: KMD_VPN_DOWN_ALARM_USER: VPN v1 from 192.0.2.1 is down."
>>> document(Pipeline().process(Record(line=line)))["lexilog"]["impact"]
'down'
"""

from lexilog.catalog.load import Catalog, load_catalog
from lexilog.catalog.sources import load_catalogs, shipped_catalogs
from lexilog.enrich.document import document, encode_json
from lexilog.errors import CatalogError, ImportFormatError, LexilogError, OriginError, RelayError, SettingsError
from lexilog.model import Enriched, Entry, Frame, Match, Outcome, Quality, Record
from lexilog.pipeline import Pipeline

__all__ = [
    "Catalog",
    "CatalogError",
    "Enriched",
    "Entry",
    "Frame",
    "ImportFormatError",
    "LexilogError",
    "Match",
    "OriginError",
    "Outcome",
    "Pipeline",
    "Quality",
    "Record",
    "RelayError",
    "SettingsError",
    "document",
    "encode_json",
    "load_catalog",
    "load_catalogs",
    "shipped_catalogs",
]
