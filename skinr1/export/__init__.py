"""Training rows in the formats of other trainers."""

from skinr1.export.llava import write_llava
from skinr1.export.reading import SPLITS, Example, examples, written
from skinr1.export.trl import write_trl
from skinr1.export.verl import write_verl
from skinr1.export.webdataset import write_webdataset

FORMATS = {"trl": write_trl, "llava": write_llava, "verl": write_verl, "webdataset": write_webdataset}

__all__ = ["FORMATS", "SPLITS", "Example", "examples", "written"]
