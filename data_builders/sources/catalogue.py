"""The data sets by name, each a function ``(path, taxonomy, options) -> SourceRows``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from data_builders.sources import Options, SourceRows
from data_builders.sources.bcn20000 import bcn20000
from data_builders.sources.ddi import ddi
from data_builders.sources.derm1m import derm1m
from data_builders.sources.derm7pt import derm7pt
from data_builders.sources.derm12345 import derm12345
from data_builders.sources.dermacon_in import dermacon_in
from data_builders.sources.fitzpatrick17k import fitzpatrick17k
from data_builders.sources.folder import own_images
from data_builders.sources.folders import dermnet, msld, sd_198
from data_builders.sources.ham10000 import ham10000
from data_builders.sources.isic import isic
from data_builders.sources.isic_challenge import isic_2018, isic_2019, isic_2020
from data_builders.sources.omnimedvqa import omnimedvqa
from data_builders.sources.pad_ufes_20 import pad_ufes_20
from data_builders.sources.scin import scin
from data_builders.sources.skincon import skincon
from skinr1.taxonomy import Taxonomy

SOURCES: Final[Mapping[str, Callable[[Path, Taxonomy, Options], SourceRows]]] = {
    "bcn20000": bcn20000,
    "ddi": ddi,
    "derm12345": derm12345,
    "derm1m": derm1m,
    "derm7pt": derm7pt,
    "dermacon_in": dermacon_in,
    "dermnet": dermnet,
    "fitzpatrick17k": fitzpatrick17k,
    "folder": own_images,
    "ham10000": ham10000,
    "isic": isic,
    "isic_2018": isic_2018,
    "isic_2019": isic_2019,
    "isic_2020": isic_2020,
    "msld": msld,
    "omnimedvqa": omnimedvqa,
    "pad_ufes_20": pad_ufes_20,
    "scin": scin,
    "sd_198": sd_198,
    "skincon": skincon,
}
