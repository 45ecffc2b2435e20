"""Data sets whose labels are folders or parts of file names: DermNet, MSLD v2.0, SD-198.

DermNet (Kaggle copy, about 19,500 clinical images): ``train/<23 folders>/*.jpg``, ``test/…``. The folder is coarse; the
file name often says more (``eczema-hand-12.jpg``): where the label map knows that name it is the label, else the folder
is. Ids: none, and both parts show the same lesions, so the official split is not taken over and grouping must hash the
images. Licence: unclear, terms of the DermNet site. Overlap: atlases, Derm1M.

MSLD v2.0 (755 images of 541 patients, mpox and what resembles it; Ali et al. 2024): ``Original Images/FOLDS/fold<1-5>/
{Train,Valid,Test}/<class>/<CODE>_<patient>_<image>.jpg``. Every fold holds all images, so only the first is read, with
its parts as the official split; augmented copies are not read. Codes MKP, CHP, CWP, MSL, HFMD, HEALTHY. Ids: the
patient in the file name, within its code. Licence: Creative Commons, type not stated.

SD-198 (6,584 clinical images of 198 classes; Sun et al. 2016): ``images/<class>/*.jpg``. Ids: none. Licence: DermQuest
origin, unclear. Overlap: other collections from DermQuest.

Facts: the papers (second-hand), the Kaggle pages, class lists as published code holds them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_builders.sources import Options, Rejection, SourceRows
from data_builders.sources.images import SPLITS, SUFFIXES, finished
from data_builders.sources.table import wrong_layout
from skinr1.errors import UserError
from skinr1.taxonomy import LabelMap, Taxonomy

_DERMNET = {
    "source": "dermnet",
    "licence": "LicenseRef-DermNet",
    "attribution": "DermNet, dermnet.com, copy of 2020 on Kaggle",
    "modality": "clinical",
}
_MSLD = {
    "source": "msld",
    "licence": "LicenseRef-MSLD",
    "attribution": "MSLD v2.0, Ali et al. 2024, arXiv:2306.14169",
    "modality": "clinical",
}
_SD_198 = {
    "source": "sd_198",
    "licence": "LicenseRef-DermQuest",
    "attribution": "SD-198, Sun et al. 2016, doi:10.1007/978-3-319-46466-4_13",
    "modality": "clinical",
}
_SERIES = re.compile(r"^(?P<name>[a-z][a-z-]*?)-+\d+").match
_MSLD_NAME = re.compile(r"^(?P<code>[A-Z]+)_(?P<patient>\w+?)_(?P<image>\w+)$").match


def dermnet(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    labels = LabelMap.load("dermnet", taxonomy)
    parts = [path / part for part in ("train", "test") if (path / part).is_dir()]
    if not parts:
        raise wrong_layout("DermNet", path, "folders train and test")
    for part in parts:
        for file in _images(part):
            folder = file.relative_to(part).parts[0]
            series = _SERIES(file.stem.lower())
            fine = series["name"] if series else ""
            label = fine if fine in labels.entries else folder
            yield _case(file, path, label, labels, {**_DERMNET, "case_id": _name(file, path)}, options)


def msld(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image of the first fold. Raises UserError for another layout."""
    labels = LabelMap.load("msld", taxonomy)
    folds = sorted(
        fold
        for depth in ("", "*/", "*/*/", "*/*/*/")
        for fold in path.glob(f"{depth}fold*")
        if (fold / "Train").is_dir()
    )
    folds = [fold for fold in folds if "augmented" not in fold.as_posix().lower()]
    if not folds:
        raise wrong_layout("MSLD v2.0", path, "Original Images/FOLDS/fold1/Train")
    for file in _images(folds[0]):
        found = _MSLD_NAME(file.stem)
        if found is None:
            yield Rejection(_name(file, path), "file name is not CODE_patient_image")
            continue
        fields = {
            "case_id": file.stem,
            "patient_id": f"{found['code']}_{found['patient']}",
            "split": SPLITS.get(file.relative_to(folds[0]).parts[0].lower()),
        }
        yield _case(file, path, found["code"], labels, {**_MSLD, **fields}, options)


def sd_198(path: Path, taxonomy: Taxonomy, options: Options) -> SourceRows:
    """Yields one case an image. Raises UserError for another layout."""
    labels = LabelMap.load("sd_198", taxonomy)
    root = path / "images"
    if not root.is_dir() or not any(entry.is_dir() for entry in root.iterdir()):
        raise wrong_layout("SD-198", path, "images/<class>/*.jpg")
    for file in _images(root):
        fields = {**_SD_198, "case_id": _name(file, root)}
        yield _case(file, path, file.relative_to(root).parts[0], labels, fields, options)


def _images(root: Path) -> Iterator[Path]:
    """Image files in sub-folders, folder by folder in the order of their names."""
    for entry in sorted(root.iterdir()):
        if entry.is_dir():
            yield from (file for file in sorted(entry.rglob("*")) if file.suffix.lower() in SUFFIXES)


def _name(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def _case(file: Path, root: Path, label: str, labels: LabelMap, fields: dict[str, Any], options: Options) -> Any:
    try:
        diagnoses = labels.diagnoses(label)
    except UserError as error:
        return Rejection(_name(file, root), str(error))
    return finished({**fields, "images": (str(file),), "label": label, "diagnoses": diagnoses}, options)
