"""What is known of a case, as the rewards see it."""

from dataclasses import dataclass

from skinr1.taxonomy import Bucket


@dataclass(frozen=True)
class Truth:
    """Labels and annotations of one case; whatever a data set does not say is empty or None.

    Attributes:
        diagnoses: nodes the label denotes; any of them is right.
        condition: their risk bucket, if they share one.
        differential: (node, weight) of several readers, weights adding up to at most 1 (SCIN); empty for a plain label.
        findings: signs annotated as present.
        absent: signs annotated as looked for and absent.
    """

    diagnoses: tuple[str, ...]
    condition: Bucket | None
    differential: tuple[tuple[str, float], ...] = ()
    findings: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
