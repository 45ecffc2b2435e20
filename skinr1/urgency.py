"""How soon a person should be seen, where the risk bucket alone would say too little: nodes of the shipped tree.

A list holds for a node and everything below it. The lists are a minimum after common teaching (sources in
docs/report_safety.md) and were not reviewed by a clinician. With another taxonomy its paths match nothing.
"""

from typing import Final

# Life-threatening within days and recognised by the skin.
EMERGENCIES: Final = (
    "infectious/bacterial/cellulitic/necrotizing_fasciitis",
    "infectious/bacterial/cellulitic/meningococcemia",
    "infectious/bacterial/cellulitic/purpura_fulminans",
    "infectious/bacterial/cellulitic/anthrax",
    "infectious/bacterial/pyoderma/staphylococcal_scalded_skin_syndrome",
    "infectious/bacterial/toxin_mediated/toxic_shock_syndrome",
    "infectious/viral/herpesvirus/herpes_simplex/eczema_herpeticum",
    "infectious/fungal/deep/mucormycosis",
    "inflammatory/drug_reaction/severe/stevens_johnson_syndrome",
    "inflammatory/drug_reaction/severe/toxic_epidermal_necrolysis",
    "inflammatory/drug_reaction/exanthematous/dress_syndrome",
    "inflammatory/papulosquamous/psoriasiform/erythroderma",
    "inflammatory/reactive/urticarial/angioedema",
    "inflammatory/reactive/vasculitic/kawasaki_disease",
    "inflammatory/reactive/vasculitic/septic_vasculitis",
    "vascular/occlusive/livedoid/gangrene",
)
# Harm within weeks when untreated.
SERIOUS: Final = (
    "inflammatory/bullous/autoimmune",
    "inflammatory/connective_tissue/lupus/systemic_lupus_erythematosus",
    "inflammatory/connective_tissue/muscle/dermatomyositis",
    "inflammatory/drug_reaction/exanthematous/agep",
    "inflammatory/papulosquamous/lichenoid/graft_versus_host_disease",
    "inflammatory/papulosquamous/psoriasiform/pustular_psoriasis",
    "inflammatory/reactive/neutrophilic/pyoderma_gangrenosum",
    "inflammatory/reactive/vasculitic",
    "vascular/occlusive/livedoid/calciphylaxis",
)
# Malignant, of slow growth: seen soon, but not as a melanoma is.
SLOW_CARCINOMAS: Final = (
    "neoplasm/malignant/follicular/basal_cell_carcinoma",
    "neoplasm/malignant/keratinocytic/bowen_disease",
)
# Benign, yet somebody who can tell it from a melanoma, or treat it in time, should look.
WATCHED: Final = (
    "neoplasm/benign/melanocytic/congenital_nevus",
    "neoplasm/benign/melanocytic/dysplastic_nevus",
    "neoplasm/benign/melanocytic/spitz_nevus",
    "neoplasm/benign/vascular/infantile_hemangioma",
)


def listed(node: str, nodes: tuple[str, ...]) -> bool:
    """Whether ``node`` is one of ``nodes`` or below one."""
    return any(node == one or node.startswith(f"{one}/") for one in nodes)
