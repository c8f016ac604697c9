"""Facts about the files of a data set, read once and remembered."""

from pspnet.data.facts.scan import label_counts

__all__ = ["label_counts"]
