"""A map of places as bubbles, drawn from latitude and longitude without a background.

The projection is equirectangular with the cosine of the mean latitude: distances along and across
have one scale. Names stand where they meet neither a bubble nor another name; a place without room
for its name has it as label and tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from markupsafe import Markup

from reports.charts import ACCENT, BAD, INK, SOFT, WIDE, Row, base, both, drawn
from reports.formats import ENGLISH, NOTHING

SMALL = 320
# Height over width, and the largest radius as a share of the shorter side.
FLATTEST, STEEPEST, LARGEST = 0.35, 1.2, 0.05
LEAST_RADIUS = 3.0
LETTER, HEIGHT, GAP = 6.9, 14.0, 3.0
FAINTEST = 0.12


@dataclass(frozen=True)
class Spot:
    """A bubble in points, from the upper left corner."""

    x: float
    y: float
    radius: float
    row: Row


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def projected(places: Sequence[Row]) -> list[tuple[float, float]]:
    """East and north of each place of `latitude` and `longitude`, all in degrees of latitude."""
    shrink = math.cos(math.radians(fmean(place["latitude"] for place in places)))
    # Places on either side of the date line lie together.
    first = places[0]["longitude"]
    east = [(place["longitude"] - first + 180) % 360 - 180 for place in places]
    return [(x * shrink, place["latitude"]) for x, place in zip(east, places, strict=True)]


def spots(places: Sequence[Row], width: float) -> tuple[list[Spot], float]:
    """The bubbles, the largest first, their areas in proportion to `size`; the map's height."""
    at = projected(places)
    west, east = min(x for x, _ in at), max(x for x, _ in at)
    south, north = min(y for _, y in at), max(y for _, y in at)
    across, along = east - west, north - south
    height = width * min(max(along / across if across else 1, FLATTEST), STEEPEST)
    largest = LARGEST * min(width, height) + LEAST_RADIUS
    edge = largest + HEIGHT
    scale = min(
        (width - 2 * edge) / across if across else math.inf,
        (height - 2 * edge) / along if along else math.inf,
    )
    # One place alone has no extent.
    scale = scale if math.isfinite(scale) else 0.0
    most = max(float(place["size"]) for place in places) or 1.0
    found = [
        Spot(
            width / 2 + scale * (x - (west + east) / 2),
            height / 2 - scale * (y - (south + north) / 2),
            max(largest * math.sqrt(max(float(place["size"]), 0.0) / most), LEAST_RADIUS),
            place,
        )
        for (x, y), place in zip(at, places, strict=True)
    ]
    return sorted(found, key=lambda spot: -spot.radius), height


def _around(spot: Spot, length: float) -> Iterator[tuple[Box, str, float, float]]:
    """Places for a name beside a bubble, the best first, with its alignment and its middle line."""
    beside, above = spot.radius + GAP, spot.radius + GAP + HEIGHT / 2
    slant = spot.radius * 0.7 + GAP
    for align, x, y in (
        ("left", spot.x + beside, spot.y),
        ("right", spot.x - beside, spot.y),
        ("center", spot.x, spot.y - above),
        ("center", spot.x, spot.y + above),
        *(("left", spot.x + slant, spot.y + turn * (slant + HEIGHT / 3)) for turn in (-1, 1)),
        *(("right", spot.x - slant, spot.y + turn * (slant + HEIGHT / 3)) for turn in (-1, 1)),
    ):
        left = x - length * {"left": 0, "center": 0.5, "right": 1}[align]
        yield Box(left, y - HEIGHT / 2, left + length, y + HEIGHT / 2), align, x, y


def names(found: Sequence[Spot], width: float, height: float) -> list[dict[str, Any]]:
    """Where the names stand: of each place with room, x, y, align, text."""
    taken = [
        Box(one.x - one.radius, one.y - one.radius, one.x + one.radius, one.y + one.radius)
        for one in found
    ]
    bubbles = len(taken)
    placed = []
    for number, spot in enumerate(found):
        text = str(spot.row["name"])
        length = LETTER * sum(1 if ord(sign) < 0x2E80 else 1.9 for sign in text)
        for box, align, x, y in _around(spot, length):
            inside = box.left >= 0 and box.right <= width and box.top >= 0 and box.bottom <= height
            free = not any(
                box.meets(other)
                for place, other in enumerate(taken)
                if place >= bubbles or place != number
            )
            if inside and free:
                taken.append(box)
                placed.append({"x": x, "y": y, "align": align, "text": text})
                break
    return placed


def district_map(
    places: Sequence[Row],
    title: str,
    language: str = ENGLISH,
    *,
    is_small: bool = False,
) -> Markup:
    """Bubbles on a map: their area is `size`, their strength `shade`, red below zero.

    Parameters
    ----------
    places : name, latitude and longitude in degrees, size, shade (None where unknown), label
    is_small : one drawing for wide and narrow pages, without names
    """
    import altair as alt

    shades = [abs(float(place["shade"])) for place in places if place["shade"] is not None]
    strongest = max(shades, default=0.0) or 1.0

    def mark(spot: Spot) -> Row:
        shade = spot.row["shade"]
        known = shade is not None
        return {
            **{"x": spot.x, "y": spot.y, "area": math.pi * spot.radius**2},
            "strength": FAINTEST + (0.9 - FAINTEST) * abs(float(shade)) / strongest if known else 0,
            "color": BAD if known and shade < 0 else ACCENT if known else SOFT,
            "label": spot.row["label"] or NOTHING,
        }

    def draw(wide: bool) -> Any:
        width = WIDE if wide and not is_small else SMALL
        found, height = spots(places, width)
        x = alt.X("x:Q", axis=None).scale(domain=[0, width], nice=False, zero=False)
        y = alt.Y("y:Q", axis=None).scale(domain=[height, 0], nice=False, zero=False)
        bubbles = (
            base([mark(spot) for spot in found], width, int(height))
            .mark_point(filled=True, strokeWidth=1.2)
            .encode(
                x,
                y,
                alt.Size("area:Q", scale=None, legend=None),
                fill=alt.Fill("color:N", scale=None),
                stroke=alt.Stroke("color:N", scale=None),
                fillOpacity=alt.FillOpacity("strength:Q", scale=None),
                strokeOpacity=alt.value(0.9),
                description="label:N",
            )
        )
        layers = [bubbles]
        if not is_small:
            for align in ("left", "center", "right"):
                rows = [row for row in names(found, width, height) if row["align"] == align]
                if rows:
                    text = base(rows, width, int(height)).mark_text(
                        align=align, baseline="middle", fill=INK, aria=False
                    )
                    layers.append(text.encode(x, y, text="text:N"))
        return alt.layer(*layers)

    if is_small:
        return drawn(draw(False), title, "chart")
    return both(draw, title)
