"""What an Elasticsearch or OpenSearch cluster needs, made from the catalogue and the field table."""
