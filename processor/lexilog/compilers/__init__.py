"""From the catalogue to what other engines read: templates, ingest pipeline, dashboards, pages. Pure functions."""
