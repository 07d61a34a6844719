"""Images of a project's components: planned from what they import, rendered as Dockerfiles, built and pushed."""

from boxplat.export.images.dockerfile import files as files
from boxplat.export.images.model import Image as Image
from boxplat.export.images.planning import plan as plan
from boxplat.export.images.record import references as references
