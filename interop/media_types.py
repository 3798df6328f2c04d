"""Media types that Schemathesis does not know by itself."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_, value):
    """A body in lines is described as one text."""
    return value.encode() if isinstance(value, str) else str(value).encode()
