"""Licence is a field of every case: rolled up, and enforced where a build is marked commercial."""

import pytest

from data_builders.cases import CasesConfig, build
from data_builders.sources import Options
from data_builders.sources.catalogue import SOURCES
from skinr1.cases import Case, Role
from skinr1.errors import UserError
from skinr1.licences import TERMS, UNSTATED, commercial, identifier, refuse_non_commercial, roll_up
from tests.data_builders.layouts import LAYOUTS


def case(licence: str, source: str = "s", number: int = 0) -> Case:
    return Case(case_id=f"{source}{number}", source=source, images=("a.png",), role=Role.SPARSE, licence=licence)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC-0", "CC0-1.0"), ("CC-BY", "CC-BY-4.0"), ("CC-BY-NC", "CC-BY-NC-4.0"),
        ("cc by-nc-sa 4.0", "CC-BY-NC-SA-4.0"), ("CC-BY-4.0", "CC-BY-4.0"), ("", UNSTATED),
        ("Contract 7", "Contract 7"),
    ],
)  # fmt: skip
def test_spellings(text, expected):
    assert identifier(text) == expected


@pytest.mark.parametrize("licence", [name for name in TERMS if "NC" in name] + ["LicenseRef-Stanford-DDI"])
def test_non_commercial_is_forbidden(licence):
    assert commercial(licence) is False


@pytest.mark.parametrize("licence", [UNSTATED, "LicenseRef-SCIN", "Contract 7"])
def test_what_nobody_established_is_not_allowed(licence):
    assert commercial(licence) is None
    with pytest.raises(UserError, match=r"s \(.+, 1 cases\)"):
        refuse_non_commercial([case(licence)])


def test_refusal_names_source_licence_and_count():
    cases = [case("CC-BY-4.0", "pad"), case("CC-BY-NC-4.0", "ham", 1), case("CC-BY-NC-4.0", "ham", 2)]
    with pytest.raises(UserError) as error:
        refuse_non_commercial(cases)
    assert "ham (CC-BY-NC-4.0, 2 cases)" in str(error.value) and "pad" not in str(error.value)
    refuse_non_commercial(cases[:1])
    assert roll_up(cases) == {"CC-BY-4.0": 1, "CC-BY-NC-4.0": 2}


def test_commercial_build_refuses_before_it_writes_images(tmp_path):
    LAYOUTS["ham10000"](tmp_path / "data")
    config = CasesConfig(source="ham10000", path=str(tmp_path / "data"), output=str(tmp_path / "out"), commercial=True)
    with pytest.raises(UserError, match=r"ham10000 \(CC-BY-NC-4.0, 2 cases\)"):
        build(config, progress=False)
    assert not list((tmp_path / "out").rglob("*.png"))


@pytest.mark.parametrize("source", LAYOUTS)
def test_every_source_states_a_licence_we_know(source, tmp_path, taxonomy):
    LAYOUTS[source](tmp_path)
    licences = {row.licence for row in SOURCES[source](tmp_path, taxonomy, Options()) if isinstance(row, Case)}
    assert licences and licences <= TERMS.keys()
