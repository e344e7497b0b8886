"""Transfer syntaxes without compression, by UID."""

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED_FILE = "1.2.840.10008.1.2.1.99"
"""Explicit little endian; everything behind the meta information is deflated."""

GE_BIG = "1.2.840.113619.5.2"
"""GE's own: a header of implicit little endian, and pixels in big endian."""
