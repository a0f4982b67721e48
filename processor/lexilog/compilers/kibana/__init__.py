"""What Kibana shows, made from the panels and alerts in ``dashboards/``."""
