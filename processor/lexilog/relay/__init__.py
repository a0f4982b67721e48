"""Fifth room: where records go, and when they are acknowledged."""

from lexilog.relay.base import Delivery, Relay

__all__ = ["Delivery", "Relay"]
