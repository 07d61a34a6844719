"""The one pipeline that BentoML's quick-start examples ask of Hugging Face, with no model: the first sentences.

What is under test is the server; the model would be a download of 1.2 GB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Summaries = list[dict[str, str]]


def pipeline(task: str, **_: object) -> Callable[[str | Sequence[str]], Summaries]:
    """A summarizer of one text or of several."""
    assert task == "summarization"

    def summarize(texts: str | Sequence[str]) -> Summaries:
        return [{"summary_text": text[:300]} for text in ([texts] if isinstance(texts, str) else texts)]

    return summarize
