"""Messages of the Fluent Forward protocol <-> model: the one place where they are converted, for door and relay.

`wire` finds messages in a stream of bytes and cuts them into entries, `codec` makes records of entries and entries of
enriched records, and `handshake` is what both sides say first where they share a key.

Source: Fluent Forward Protocol Specification v1, and what Fluent Bit 5.1 adds to it: metadata of a record, and
``fluent_signal``.
"""
