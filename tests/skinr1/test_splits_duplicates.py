"""Copies of a picture are found whatever was done to them, and different pictures are left apart."""

import csv
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image
from rich.progress import Progress

from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.images import load_image
from skinr1.splits import duplicates
from skinr1.splits.alignment import AGREEMENT, compare, turned
from skinr1.splits.duplicates import build_index, candidates, find_duplicates, look, near_pairs, verified
from skinr1.splits.fingerprints import RECORD, fingerprint
from skinr1.splits.signature import features, signatures
from tests.skinr1.planted import COPIES, texture


def found(originals: np.ndarray, copies: np.ndarray, which: np.ndarray) -> tuple[float, int]:
    """The share of copies found by the whole search, and how many other pairs with a copy were reported."""
    shards = [np.concatenate([originals, copies])]
    shards = [shards[0][start : start + duplicates.SHARD] for start in range(0, len(shards[0]), duplicates.SHARD)]
    pairs = {(pair.first, pair.second) for pair in verified(shards, candidates(shards, False), False)}
    wanted = {(int(i), len(originals) + n) for n, i in enumerate(which)}
    return len(pairs & wanted) / len(wanted), len({pair for pair in pairs if pair[1] >= len(originals)} - wanted)


@pytest.fixture(scope="module")
def textures() -> list[Image.Image]:
    return [texture(number) for number in range(32)]


@pytest.mark.parametrize("name", COPIES)
def test_planted_copies_are_found(textures, name):
    copy, least = COPIES[name]
    random = np.random.default_rng(1)
    which = np.arange(20)
    copies = fingerprint([copy(textures[i], random) for i in which])
    share, others = found(fingerprint(textures), copies, which)
    assert share >= least and others == 0


def test_different_pictures_are_no_pairs(textures):
    records = fingerprint(textures)
    everything = np.array([(i, j) for i in range(32) for j in range(i + 1, 32)])
    assert verified([records], everything, False) == []


def test_signature_ignores_orientation_and_nothing_else(textures):
    pictures = np.stack([np.asarray(picture.resize((64, 64))) for picture in textures[:8]])
    turns = [pictures[:, ::-1], pictures[:, :, ::-1], pictures.swapaxes(1, 2), np.rot90(pictures, axes=(1, 2))]
    for turn in turns:
        assert np.allclose(features(pictures), features(turn), atol=2e-3)
    bits = np.unpackbits(signatures(pictures), axis=1)
    apart = (bits[:, None] != bits[None]).sum(2)[~np.eye(8, dtype=bool)]
    assert bits.shape == (8, 256) and np.median(apart) > 100


def test_phash_is_that_of_imagehash(textures):
    record = fingerprint(textures[:1])[0]
    grey = Image.fromarray(record["grey"])
    flips = [grey, grey.transpose(0), grey.transpose(1), grey.transpose(Image.Transpose.ROTATE_180)]
    for k, picture in enumerate(flips):
        assert (np.unpackbits(record["phash"][k]) == imagehash.phash(picture).hash.ravel()).all()


def test_alignment_names_the_orientation(textures):
    grey = fingerprint(textures[:8])["grey"]
    for orientation in range(8):
        agreement = compare(grey, np.ascontiguousarray(turned(grey, orientation)))
        again = [turned(turned(grey[k : k + 1], orientation), int(o)) for k, o in enumerate(agreement.orientation)]
        assert (np.concatenate(again) == grey).all() and (agreement.detail > 0.99).all()


@pytest.mark.parametrize("grey", [0, 200])
def test_pictures_that_show_nothing_do_not_fail_the_comparison(grey, textures):
    blank = np.full((3, 64, 64), grey, np.uint8)
    stripes = np.tile((np.arange(64, dtype=np.uint8) % 8 * 30)[None, None], (3, 64, 1))
    other = fingerprint(textures[:3])["grey"]
    for first, second in ((blank, other), (stripes, other), (blank, stripes)):
        assert (compare(first, second).detail < AGREEMENT).all()


def test_many_equal_pictures_are_all_joined():
    records = np.zeros(50, RECORD)
    records[:] = fingerprint([texture(3)])[0]
    pairs = verified([records], candidates([records], False), False)
    joined = {0}
    for _ in range(50):
        joined |= {k for pair in pairs if {pair.first, pair.second} & joined for k in (pair.first, pair.second)}
    assert joined == set(range(50))


def test_the_index_of_large_collections_finds_what_the_exhaustive_one_does(monkeypatch):
    random = np.random.default_rng(0)
    codes = random.integers(0, 256, (6000, 32), dtype=np.uint8)
    flips = np.packbits(random.random((500, 256)) < 0.05, axis=1)
    codes[5500:] = codes[:500] ^ flips
    with Progress(disable=True) as bar:
        exact = near_pairs(build_index(codes, 8), [codes], 40, 4, bar, "")
        monkeypatch.setattr(duplicates, "EXACT", 1000)
        listed = near_pairs(build_index(codes, 8), [codes], 40, 4, bar, "")
    assert len(exact) == 500 and {tuple(p) for p in listed} <= {tuple(p) for p in exact} and len(listed) >= 490


def save(folder: Path, pictures: list[Image.Image]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        picture.save(path)
    return paths


def test_workers_and_shards_change_nothing_and_a_kill_loses_no_shard(tmp_path, textures, monkeypatch):
    paths = save(tmp_path / "images", [*textures[:20], textures[0].convert("L").convert("RGB")])
    first = find_duplicates(paths, tmp_path / "a", workers=1, progress=False)
    assert [(pair.first, pair.second) for pair in first] == [(0, 20)]
    monkeypatch.setattr("skinr1.splits.fingerprints.SHARD", 8)
    monkeypatch.setattr("skinr1.splits.duplicates.SHARD", 8)
    assert find_duplicates(paths, tmp_path / "b", workers=1, progress=False) == first
    shards = sorted((tmp_path / "b").iterdir())
    before = [shard.read_bytes() for shard in shards]
    assert len(shards) == 3
    shards[1].unlink()
    kept = shards[0].stat().st_mtime_ns
    assert find_duplicates(paths, tmp_path / "b", workers=2, progress=False) == first
    assert [shard.read_bytes() for shard in shards] == before and shards[0].stat().st_mtime_ns == kept


def test_a_changed_picture_is_hashed_again(tmp_path, textures):
    paths = save(tmp_path / "images", [textures[0], textures[1]])
    assert find_duplicates(paths, tmp_path / "work", progress=False) == []
    textures[0].save(paths[1])
    assert len(find_duplicates(paths, tmp_path / "work", progress=False)) == 1
    assert len(list((tmp_path / "work").iterdir())) == 1


@pytest.mark.parametrize(("content", "reason"), [(None, "not found"), (b"no picture", "not an image")])
def test_unreadable_pictures_are_named(tmp_path, content, reason):
    path = tmp_path / "x.png"
    if content:
        path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        find_duplicates([path], tmp_path / "work", progress=False)


def test_views_of_one_case_are_no_leak(tmp_path, textures):
    save(tmp_path, [textures[0], textures[0], textures[0]])
    rows = [
        Case(case_id=name, source="s", images=images, role=Role.SPARSE, licence="CC0-1.0")
        for name, images in (("a", ("0.png", "1.png")), ("b", ("2.png",)))
    ]
    sights = look(rows, [tmp_path, tmp_path], tmp_path / "work", progress=False)
    assert [sight.cases for sight in sights] == [("a", "b")] and sights[0].agreement == 1.0


# The rates of issue 3 on real photographs. Constants and thresholds were set on the photographs at even places; the
# copies here are of those at odd places.


@pytest.fixture(scope="module")
def photographs(shared_data) -> tuple[list[Path], list[str]]:
    """All 876, and whose they are as far as is known."""
    paths, owners = [], []
    with open(shared_data / "pad_ufes_20" / "metadata.csv", encoding="utf-8") as handle:
        patient = {row["img_id"]: row["patient_id"] for row in csv.DictReader(handle)}
    for name in ("pad_ufes_20", "isic_uda1"):
        for path in sorted((shared_data / name / "images").iterdir()):
            paths.append(path)
            owners.append(patient.get(path.name, path.name))
    return paths, owners


@pytest.fixture(scope="module")
def real(photographs) -> tuple[list[Image.Image], np.ndarray]:
    pictures = [load_image(path) for path in photographs[0]]
    return pictures, fingerprint(pictures)


@pytest.mark.real_data
@pytest.mark.parametrize("name", COPIES)
def test_planted_copies_of_photographs_are_found(real, name):
    pictures, records = real
    copy, least = COPIES[name]
    random = np.random.default_rng(7)
    which = np.arange(1, len(pictures), 2)
    copies = fingerprint([copy(pictures[i], random) for i in which])
    share, _ = found(records, copies, which)
    print(f"{name}: {share:.4f} of {len(which)} found")
    assert share >= least


@pytest.mark.real_data
def test_false_pairs_among_the_photographs(photographs, real):
    """876 photographs make 383,250 pairs; the issue allows 383 false ones, and one in a thousand photographs is 0."""
    paths, owners = photographs
    _, records = real
    assert len(paths) == 876
    pairs = verified([records], candidates([records], False), False)
    names = {(paths[p.first].stem, paths[p.second].stem) for p in pairs if owners[p.first] != owners[p.second]}
    # looked at by eye: the same photograph under two names in the ISIC archive
    true = {("ISIC_0000279", "ISIC_0000280"), ("ISIC_0000477", "ISIC_0000512")}
    print(f"pairs: {len(pairs)}, between different owners: {sorted(names)}")
    involved = {name for pair in names - true for name in pair}
    assert true <= names and len(involved) < 0.001 * len(paths)
