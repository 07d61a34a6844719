"""From a request's body to a call's arguments, and from what the call gave to an answer's body.

Each codec has a fast way for the plain values of one family and hands everything else, errors included, to BentoML's
own models, so that answers are equal in every byte. Which codec a spec gets is decided once, by `reader` and `writer`.
"""

from __future__ import annotations

from boxplat.serving.codecs.models import Read, Write
from boxplat.serving.codecs.reading import reader
from boxplat.serving.codecs.writing import writer

__all__ = ["Read", "Write", "reader", "writer"]
