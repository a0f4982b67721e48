"""Fifth room: where records go, and when they are acknowledged.

`settings` says what each way out can be told; the module of the same name as its type does the work. `router` hands
each record to the relays that are to have it, and `dead_letters` keeps what they will never take.
"""

from lexilog.relay.base import Delivery, Refusal, Relay

__all__ = ["Delivery", "Refusal", "Relay"]
