"""A static gallery of cases: pictures, trajectories with the passages they cite beside them, reports, rejections."""

from skinr1.browse.gallery import PER_PAGE, Written, write_gallery
from skinr1.neighbours import Folders, locate

__all__ = ["PER_PAGE", "Folders", "Written", "locate", "write_gallery"]
