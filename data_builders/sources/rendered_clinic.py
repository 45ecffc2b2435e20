"""The rendered clinic as a source: captions without labels, a dense atlas, a sparse clinic. Rendered, not clinical."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from data_builders.rendered import Clinic, RenderedCase, Visit, sample_case
from data_builders.rendered.setting import REFERENCE, check_setting
from data_builders.sources import SourceRows
from skinr1.cases import Case, Finding, Role, SkinTone
from skinr1.concepts import concept
from skinr1.errors import UserError
from skinr1.taxonomy import Taxonomy

SOURCE = "rendered_clinic"
ATTRIBUTION = "rendered, not clinical"
LICENCE = "CC0-1.0"
ALL_TONES = (1, 2, 3, 4, 5, 6)

_ORDER = (Role.CAPTION, Role.DENSE, Role.SPARSE)
# With the first present, absence of the second is not asserted: they are the same thing seen more or less closely.
_COVERS = {
    "silvery scale": ("scale",),
    "honey crust": ("crust",),
    "central clearing": ("ring shape",),
    "ring shape": ("central clearing",),
    "grouped lesions": ("many lesions",),
    "linear pattern": ("many lesions", "grouped lesions"),
}


def rendered_clinic(
    caption_patients: int,
    dense_patients: int,
    sparse_patients: int,
    seed: int,
    *,
    dense_tones: Sequence[int] = ALL_TONES,
    dense_typical: bool = False,
    dense_left_out: Sequence[str] = (),
    sparse_tones: Sequence[int] = ALL_TONES,
    dermoscopic_share: float = 0.4,
    class_weights: Mapping[str, float] | None = None,
    sites: Sequence[str] = (),
    camera: str = REFERENCE,
    size: int = 112,
    clinic: Clinic | None = None,
    taxonomy: Taxonomy | None = None,
) -> SourceRows:
    """Yields the cases of all three roles, in the order caption, dense, sparse.

    Every patient is drawn from (seed, role, number): a larger count only appends patients. Diagnoses are uniform
    (dealt in shuffled rounds) unless weighted.

    Args:
        dense_tones: Fitzpatrick tones of the dense cases; an atlas often lacks dark skin.
        dense_typical: dense cases show the typical picture of their disease, as an atlas does.
        dense_left_out: nodes that the atlas lacks; what the sparse clinic lacks, ``class_weights`` says.
        sparse_tones: tones of the sparse cases; one that stands there twice is twice as frequent.
        sites: body sites, each as frequent; without them a case has none and shows plain skin.
        camera: what every picture is taken with.
        class_weights: how often the sparse clinic sees a diagnosis: node -> weight; those left out get 0. Captions and
            the atlas show all equally often.

    Raises:
        UserError: a diagnosis is not in the clinic or the taxonomy, a tone not in 1..6, a site or camera unknown.
    """
    clinic = clinic or Clinic.load()
    taxonomy = taxonomy or Taxonomy.load()
    names = {d.node: taxonomy.node(d.node).name for d in clinic.diseases}
    for tone in (*dense_tones, *sparse_tones):
        if tone not in ALL_TONES:
            raise UserError("no such Fitzpatrick tone", str(tone), "Give tones within 1 to 6.")
    check_setting(tuple(sites), camera)
    tones = {Role.CAPTION: ALL_TONES, Role.DENSE: tuple(dense_tones), Role.SPARSE: tuple(sparse_tones)}
    left_out = {clinic.disease(node).node for node in dense_left_out}
    counts = dict(zip(_ORDER, (caption_patients, dense_patients, sparse_patients), strict=True))
    for index, role in enumerate(_ORDER):
        dense = role is Role.DENSE
        dealt = tuple(d.node for d in clinic.diseases if not (dense and d.node in left_out))
        deal = _deal(clinic, dealt, seed, index, class_weights if role is Role.SPARSE else None)
        for number in range(counts[role]):
            rng = np.random.Generator(np.random.PCG64([seed, index, number]))
            diagnoses = [next(deal) for _ in range(int(rng.integers(1, 3)))]
            visit = sample_case(
                rng,
                diagnoses,
                clinic=clinic,
                tones=tones[role],
                typical=dense and dense_typical,
                dermoscopic_share=dermoscopic_share,
                size=size,
                sites=sites,
                camera=camera,
            )
            patient = f"rendered-{role}-{number:06d}"
            for place, drawn in enumerate(visit.cases):
                yield _case(f"{patient}-{place}", patient, role, visit, drawn, clinic, names)


def _deal(
    clinic: Clinic, nodes: Sequence[str], seed: int, role: int, weights: Mapping[str, float] | None
) -> Iterator[str]:
    """An endless hand of the diagnoses ``nodes``."""
    rng = np.random.Generator(np.random.PCG64([seed, role]))
    if not weights:
        while True:
            yield from (nodes[i] for i in rng.permutation(len(nodes)))
    for node, weight in weights.items():
        clinic.disease(node)
        if weight < 0:
            raise UserError("negative class weight", node, "Give weights of at least 0.")
    share = np.array([weights.get(node, 0.0) for node in nodes], float)
    if not share.sum() > 0:
        raise UserError("class weights sum to 0", SOURCE, "Give at least one above 0.")
    while True:
        yield nodes[int(rng.choice(len(nodes), p=share / share.sum()))]


def _case(
    case_id: str, patient: str, role: Role, visit: Visit, drawn: RenderedCase, clinic: Clinic, names: Mapping[str, str]
) -> Case:
    labelled = role is not Role.CAPTION
    findings: tuple[Finding, ...] = ()
    if role is not Role.SPARSE:
        findings = tuple(Finding(concept=name) for name in drawn.spec.signs)
    if role is Role.DENSE:
        absent = _absent(drawn, clinic)
        findings += tuple(Finding(concept=name, present=False) for name in absent)
    return Case(
        case_id=case_id,
        source=SOURCE,
        images=(drawn.spec.uri(),),
        role=role,
        label=names[drawn.diagnosis] if labelled else None,
        diagnoses=(drawn.diagnosis,) if labelled else (),
        findings=findings,
        patient_id=patient,
        skin_tone=SkinTone(scale="fitzpatrick", value=visit.tone, provenance="rendered"),
        age=visit.age,
        sex=visit.sex,
        site=drawn.spec.site,
        modality=drawn.spec.view,
        licence=LICENCE,
        attribution=ATTRIBUTION,
    )


def _absent(drawn: RenderedCase, clinic: Clinic) -> tuple[str, ...]:
    """Every sign this view could have shown and did not: the same list of questions whatever the diagnosis."""
    present = set(drawn.spec.signs)
    open_questions = {name for sign in present for name in _COVERS.get(sign, ())}
    mixed = "several colours" in present
    return tuple(
        name
        for name in clinic.vocabulary(drawn.spec.view)
        if name not in present and name not in open_questions and not (mixed and concept(name).group == "colour")
    )
