"""Is a training set honest? Its code is run again on sources cut at the decision time, and every column compared."""

from boxplat.features.audit.declaration import Choice
from boxplat.features.audit.report import Report
from boxplat.features.audit.verb import audit

__all__ = ["Choice", "Report", "audit"]
