"""The knowledge: entries as data, and what reads them."""
