"""Headers that say what a request is to the prediction log. Whoever passes requests on from outside removes them."""

from __future__ import annotations

# Sent to a release before it serves: its answer is no prediction, and is not logged.
WARMUP = b"x-boxplat-warmup"
# A copy of a request that another release answers: nobody sees this answer.
SHADOW = b"x-boxplat-shadow"
