"""The rendered clinic: lesions drawn from their morphology. Rendered, not clinical."""

from data_builders.rendered.render import RenderSpec, render
from data_builders.rendered.sampling import Clinic, Disease, RenderedCase, Visit, sample_case, sample_signs

__all__ = ["Clinic", "Disease", "RenderSpec", "RenderedCase", "Visit", "render", "sample_case", "sample_signs"]
