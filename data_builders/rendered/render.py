"""From signs to a picture. Nothing here knows a diagnosis: the look follows from the signs alone."""

import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from data_builders.rendered.body import paint_body
from data_builders.rendered.canvas import finish, hairs, skin
from data_builders.rendered.dermoscopy import paint_structures
from data_builders.rendered.layout import form_of, lay_out
from data_builders.rendered.relief import elevation, shade
from data_builders.rendered.setting import REFERENCE, check_setting, cover_site, paint_site, photograph
from data_builders.rendered.surface import blister_shine, paint_surface
from skinr1.cases import Modality
from skinr1.errors import UserError

SCHEME = "rendered:"


def render(
    signs: Iterable[str],
    tone: int,
    view: Modality,
    seed: int,
    size: int = 112,
    site: str | None = None,
    camera: str = REFERENCE,
) -> Image.Image:
    """Draws one picture.

    Args:
        signs: names of :mod:`skinr1.concepts`; those with no look (history) are ignored.
        tone: Fitzpatrick 1..6.
        view: "clinical" or "dermoscopic"; dermoscopic structures are drawn only in the latter.
        seed: everything the signs leave open (place, size, light, noise) follows from it.
        size: side in pixels.
        site: body site; None is plain skin.
        camera: one of :data:`data_builders.rendered.setting.CAMERAS`.

    Returns:
        RGB image of ``size`` x ``size``; same arguments, same pixels.

    Raises:
        UserError: the tone is not 1..6, the size under 28, or the site or camera unknown.
    """
    if not 1 <= tone <= 6:
        raise UserError("no such Fitzpatrick tone", str(tone), "Give 1 to 6.")
    if size < 28:
        raise UserError("rendered image too small", f"{size} px", "Give a size of at least 28.")
    check_setting((site,) if site else (), camera)
    wanted = frozenset(signs)
    rng = np.random.Generator(np.random.PCG64(seed))
    dermoscopic = view == "dermoscopic"
    canvas = skin(rng, tone, dermoscopic, size)
    paint_site(rng, canvas, site)
    lesions = lay_out(rng, wanted, dermoscopic, size)
    form = form_of(wanted)
    paint_body(rng, canvas, wanted, form, lesions)
    if dermoscopic:
        paint_structures(rng, canvas, wanted, lesions)
    facing = shade(rng, canvas, lesions, elevation(rng, wanted, form, lesions, size))
    paint_surface(rng, canvas, wanted, lesions, facing)
    blister_shine(canvas, form, lesions)
    hairs(rng, canvas)
    cover_site(rng, canvas, site)
    photograph(rng, canvas, camera)
    return finish(rng, canvas)


@dataclass(frozen=True)
class RenderSpec:
    """Everything one picture follows from; stands in a Case where a file path would, until the picture is made."""

    signs: tuple[str, ...]
    tone: int
    view: Modality
    seed: int
    size: int = 112
    site: str | None = None
    camera: str = REFERENCE

    def uri(self) -> str:
        return SCHEME + json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_uri(cls, uri: str) -> "RenderSpec":
        fields = json.loads(uri.removeprefix(SCHEME))
        return cls(**{**fields, "signs": tuple(fields["signs"])})

    def image(self) -> Image.Image:
        return render(self.signs, self.tone, self.view, self.seed, self.size, self.site, self.camera)

    def png(self) -> bytes:
        """The picture as PNG bytes, without metadata."""
        buffer = io.BytesIO()
        self.image().save(buffer, "PNG", compress_level=3)
        return buffer.getvalue()
