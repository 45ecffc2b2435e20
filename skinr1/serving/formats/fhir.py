"""An envelope as a FHIR R4 bundle: one DiagnosticReport and its Observations, validated by ``fhir.resources``.

FHIR 4.0.1 is R4; the models are of R4B (4.3.0), which has all fields used here in the same form. The bundle names no
patient: whoever stores it adds ``subject``. Its status is ``preliminary``, as no clinician has looked at it. Codes are
ICD-10-CM where the node has one, always beside our own path; the nearest code is not an equal one.
"""

import uuid
from collections.abc import Iterator
from typing import Any, Final

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation

from skinr1.report import DISCLAIMER
from skinr1.serving.envelope import ReportEnvelope
from skinr1.serving.text import ADVICE
from skinr1.taxonomy import Taxonomy

ICD10CM: Final = "http://hl7.org/fhir/sid/icd-10-cm"
# Names of our own code systems; a URN needs no server that answers.
PATHS: Final = "urn:skinr1:taxonomy"
CODES: Final = "urn:skinr1:observation"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:skinr1:report")


def to_fhir(envelope: ReportEnvelope, taxonomy: Taxonomy) -> str:
    """The bundle as JSON. The same envelope gives the same bytes, ids included; there is no time in it."""
    identity = uuid.uuid5(_NAMESPACE, envelope.model_dump_json())
    observations = [
        Observation.model_validate({"resourceType": "Observation", "status": "preliminary", **body})
        for body in _observations(envelope, taxonomy)
    ]
    addresses = [f"urn:uuid:{uuid.uuid5(identity, str(number))}" for number in range(len(observations))]
    report = DiagnosticReport.model_validate(
        {
            "resourceType": "DiagnosticReport",
            "status": "preliminary",
            "code": {"text": "Structured report on skin images by research software"},
            "result": [{"reference": address} for address in addresses],
            "conclusion": _conclusion(envelope, taxonomy),
            **(
                {"conclusionCode": [_diagnosis(envelope.report.diagnosis, taxonomy)]}
                if envelope.report.diagnosis
                else {}
            ),
        }
    )
    entries = zip((f"urn:uuid:{identity}", *addresses), (report, *observations), strict=True)
    bundle = Bundle.model_validate(
        {
            "resourceType": "Bundle",
            "type": "collection",
            "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{identity}"},
            "entry": [{"fullUrl": address, "resource": resource} for address, resource in entries],
        }
    )
    return bundle.model_dump_json()


def _conclusion(envelope: ReportEnvelope, taxonomy: Taxonomy) -> str:
    """In words from the tree and from here; the model's prose may hold the patient's and stays out."""
    report = envelope.report
    if report.diagnosis:
        leading = f"Leading suggestion, not confirmed: {taxonomy.node(report.diagnosis).name}."
    else:
        leading = envelope.refused or "No diagnosis is given."
    flags = " ".join(f"Red flag: {flag.text}" for flag in envelope.red_flags)
    return f"{DISCLAIMER} {flags} {leading} Advice: {ADVICE[report.advice]}.".replace("  ", " ")


def _diagnosis(node: str, taxonomy: Taxonomy) -> dict[str, Any]:
    """A CodeableConcept. FHIR forbids white space at the ends of a code, and inside it but single spaces."""
    entry = taxonomy.node(node)
    coding = [{"system": ICD10CM, "code": code} for code in entry.icd10cm]
    own = {"system": PATHS, "version": taxonomy.version, "code": node, "display": entry.name}
    return {"coding": [*coding, own], "text": entry.name}


def _code(name: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": CODES, "code": name}], "text": text}


def _observations(envelope: ReportEnvelope, taxonomy: Taxonomy) -> Iterator[dict[str, Any]]:
    """Bodies of the Observations, in the order a reader needs them."""
    for flag in envelope.red_flags:
        yield {
            "code": _code("red-flag", f"Red flag: {flag.kind}"),
            "valueCodeableConcept": _diagnosis(flag.diagnosis, taxonomy),
            "note": [{"text": flag.text}],
        }
    for rank, entry in enumerate(envelope.report.differential, 1):
        signs = [("for", entry.evidence_for), ("against", entry.evidence_against)]
        note = "; ".join(f"{word}: {', '.join(names)}" for word, names in signs if names)
        yield {
            "code": _code("differential", f"Differential diagnosis, rank {rank}"),
            "valueCodeableConcept": _diagnosis(entry.diagnosis, taxonomy),
            "component": [
                {
                    "code": _code("probability", "Probability by the model, not calibrated"),
                    "valueQuantity": {
                        "value": entry.probability,
                        "unit": "1",
                        "system": "http://unitsofmeasure.org",
                        "code": "1",
                    },
                }
            ],
            **({"note": [{"text": note}]} if note else {}),
        }
    for finding in envelope.report.findings:
        yield {"code": _code("finding", "Sign on the image"), "valueString": finding}
    for limitation in envelope.limitations:
        yield {"code": _code("limitation", "Limitation of the image"), "valueString": limitation.text}
    if envelope.report.citations:
        yield {"code": _code("citations", "Cited passages"), "valueString": " ".join(envelope.report.citations)}
    if envelope.agreement and envelope.agreement.samples > 1:
        yield {
            "code": _code("agreement", f"Share of {envelope.agreement.samples} answers that agree"),
            "valueQuantity": {
                "value": envelope.agreement.share,
                "unit": "1",
                "system": "http://unitsofmeasure.org",
                "code": "1",
            },
        }
    stamps = envelope.stamps
    told = f"{stamps.model} {stamps.model_hash}; taxonomy {stamps.taxonomy}; prompt {stamps.prompt_version}"
    yield {
        "code": _code("provenance", "What made this report"),
        "valueString": f"{told}; schema {stamps.schema_version}",
    }
