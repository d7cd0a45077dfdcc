"""From a part of an object to the object, by its looks and by where the classifier looks.

A minimal veil hides what a classifier needs of an object and may leave the rest in sight. As in
GrabCut, a minimum cut parts what looks like the seed from what looks like the rest of the image;
here on superpixels, with the veil as the seed, object by object. An object of several colours
has parts that look like nothing else of it; there the attribution's heat speaks for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy.ndimage import binary_dilation, binary_fill_holes, distance_transform_edt, label
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, maximum_flow
from skimage.color import rgb2lab

from counterveil.types import AttributionMap, Image, Labels, Mask

Chosen = Bool[np.ndarray, " cells"]

_CERTAIN = 1e4
"""Energy that outweighs any outline, a pixel of which is 1."""
_SCALE = 1000
"""Energies become whole numbers, as the maximum flow wants them."""
_UNKNOWN = 0.5
"""Warmth where no heat tells: looks then decide alone."""


@dataclass(frozen=True)
class FigureSettings:
    """What counts as the same object; found on validation scenes, as the default target was.

    Attributes:
        rounds: of growing, each from what the last one found.
        reach: how far an object may grow in a round, in square roots of its area.
        alike: CIELAB distance up to which colours are alike.
        looks: weight of the log-odds of a cell's colour, the object's against the rest's.
        rare: density of a colour that is nowhere.
        warm: log-odds in favour of a cell as warm as the seed, over one of median heat: what the
            classifier looks at belongs to the object, whatever its colour.
        near: log-odds in favour of what touches the object, and
        far: by how much they fall over a square root of its area.
        distinct: mean log-odds of the object's own colours from which it grows at all: what looks
            like the rest of the image is no object.
        most: largest log-odds that can be said of a cell.
        say: weight of what is said of a cell, over the length of its outline.
        much: what would cover more than this part of the image, and
        times: more than so many times the seed's area, is ground without an outline.
        plain: a piece that grew, whose outline runs through one colour for more than this part
            of its length, is ground: it ends where nothing ends.
        gap: parts this far from each other are still one object, as a part of the image's
            shorter side.
        margin: added all around, as a part of the shorter side: outlines tell, too.
        hole: holes of an object up to this part of its area are hidden, too: what is written on
            a sign can be read where its letters alone are left.
    """

    rounds: int = 3
    reach: float = 0.9
    alike: float = 7.0
    looks: float = 1.25
    rare: float = 0.01
    warm: float = 3.1
    near: float = -1.0
    far: float = 1.8
    distinct: float = 0.8
    most: float = 4.0
    say: float = 4.0
    much: float = 0.25
    times: float = 3.0
    plain: float = 0.35
    gap: float = 1 / 56
    margin: float = 1 / 200
    hole: float = 0.25


@dataclass(frozen=True, eq=False)
class _Borders:
    """Between neighbouring cells.

    Attributes:
        edges: the two cells.
        length: pixels.
        alike: the same, the less the more the two colours differ.
    """

    edges: Int[np.ndarray, "2 edges"]
    length: Int[np.ndarray, " edges"]
    alike: Float64[np.ndarray, " edges"]

    @classmethod
    def of(cls, at: np.ndarray, colour: np.ndarray, alike: float) -> _Borders:
        """Of cells by number and colour; ``alike`` as in the settings."""
        pairs = np.concatenate(
            [
                np.stack([at[:, :-1].ravel(), at[:, 1:].ravel()]),
                np.stack([at[:-1].ravel(), at[1:].ravel()]),
            ],
            axis=1,
        )
        pairs = np.sort(pairs[:, pairs[0] != pairs[1]], axis=0)
        edges, length = np.unique(pairs, axis=1, return_counts=True)
        apart = ((colour[edges[0]] - colour[edges[1]]) ** 2).sum(axis=1)
        return cls(edges, length, length * np.exp(-0.5 * apart / alike**2))

    def plain(self, added: Chosen, rest: Chosen, most: float) -> Chosen:
        """Those that were added, in pieces whose border with the rest is mostly of one colour."""
        count = len(added)
        within = self.edges[:, added[self.edges].all(axis=0)]
        graph = coo_matrix((np.ones(within.shape[1]), within), shape=(count, count))
        pieces = connected_components(graph, directed=False)[1]
        outer = (added[self.edges] & rest[self.edges[::-1]]).any(axis=0)
        ends = self.edges[:, outer]
        own = pieces[np.where(added[ends[0]], *ends)]
        alike = np.bincount(own, self.alike[outer], count)
        length = np.bincount(own, self.length[outer], count)
        plain: Chosen = added & (alike > most * length)[pieces]
        return plain


@dataclass(frozen=True, eq=False)
class _Cells:
    """Superpixels, cut along the seed's outline.

    Attributes:
        at: number of the cell at each pixel.
        area: pixels.
        colour: mean, CIELAB.
        borders: between them.
    """

    at: Int[np.ndarray, "height width"]
    area: Float64[np.ndarray, " cells"]
    colour: Float64[np.ndarray, "cells 3"]
    borders: _Borders

    @classmethod
    def of(cls, lab: np.ndarray, partition: Labels, seeds: Labels, alike: float) -> _Cells:
        """Cells of an image ``(H, W, 3)`` whose seeds are numbered; ``alike`` as in settings."""
        both = partition.astype(np.int64) * (int(seeds.max()) + 1) + seeds
        at = np.unique(both, return_inverse=True)[1].reshape(both.shape)
        area = np.bincount(at.ravel()).astype(float)
        sums = [np.bincount(at.ravel(), channel.ravel()) for channel in np.moveaxis(lab, -1, 0)]
        colour = np.stack(sums, axis=1) / area[:, None]
        return cls(at, area, colour, _Borders.of(at, colour, alike))

    def mean(self, values: np.ndarray) -> Float64[np.ndarray, " cells"]:
        """Of a value a pixel, in each cell."""
        mean: np.ndarray = np.bincount(self.at.ravel(), values.ravel()) / self.area
        return mean

    def share(self, mask: Mask) -> Float64[np.ndarray, " cells"]:
        """How much of each cell lies inside a mask."""
        return self.mean(mask)


def figure(
    image: Image,
    seed: Mask,
    partition: Labels,
    *,
    attribution_map: AttributionMap | None = None,
    settings: FigureSettings | None = None,
) -> Mask:
    """The objects that a seed lies on, with a narrow margin; at least the seed itself.

    Args:
        image: RGB.
        seed: parts of objects.
        partition: superpixels that follow the objects' outlines.
        attribution_map: attribution, ``(H, W)``; without one, looks alone decide.
        settings: what counts as the same object.

    References:
        Rother et al., "GrabCut", 2004; Boykov and Jolly, "Interactive graph cuts", 2001.
    """
    settings = settings or FigureSettings()
    lab, found = rgb2lab(image), seed
    gap = max(1, round(settings.gap * min(seed.shape)))
    warmth = _warmth(attribution_map, seed)
    for _ in range(settings.rounds):
        grown = _grown(lab, found, partition, warmth, gap, settings)
        if (grown == found).all() or _is_ground(grown, seed, settings):
            break
        found = grown
    margin = round(settings.margin * min(seed.shape))
    whole: Mask = binary_dilation(found, iterations=margin) if margin else found.copy()
    return _without_holes(whole, settings.hole)


def _without_holes(mask: Mask, part: float) -> Mask:
    """Each connected part with those of its holes filled that are small beside it.

    An edge of the image closes a hole, too: a sign may be cut off by it.
    """
    whole = mask.copy()
    parts, count = label(mask)
    for number in range(1, count + 1):
        own = parts == number
        holes = label(_closed(own) & ~own)[0]
        small = np.bincount(holes.ravel()) <= part * own.sum()
        small[0] = False
        whole |= small[holes]
    return whole


def _closed(own: Mask) -> Mask:
    """A part without holes, as it is and where one edge of the image belongs to it."""
    closed: Mask = binary_fill_holes(own)
    for turns in range(4):
        padded = np.pad(np.rot90(own, turns), ((1, 0), (0, 0)), constant_values=True)
        closed |= np.rot90(binary_fill_holes(padded)[1:], -turns)
    return closed


def _is_ground(grown: Mask, seed: Mask, settings: FigureSettings) -> bool:
    """Whether what grew from a small part to much of the image is no object any more."""
    much = grown.mean() > settings.much
    return bool(much and grown.sum() > settings.times * seed.sum())


def _grown(
    lab: np.ndarray,
    seed: Mask,
    partition: Labels,
    warmth: Float64[np.ndarray, "height width"],
    gap: int,
    settings: FigureSettings,
) -> Mask:
    parts, count = label(binary_dilation(seed, iterations=gap))
    seeds = np.where(seed, parts, 0).astype(np.int32)
    cells = _Cells.of(lab, partition, seeds, settings.alike)
    warm, found = cells.mean(warmth), seed.copy()
    for number in range(1, count + 1):
        found |= _object(cells, seeds, number, warm, gap, settings)
    return found


def _object(
    cells: _Cells,
    seeds: Labels,
    number: int,
    warmth: Float64[np.ndarray, " cells"],
    gap: int,
    settings: FigureSettings,
) -> Mask:
    """The object of one seed; what lies in another seed is left to that one.

    Where nothing can be added within reach, twice the reach is tried: a long thing, cut off by
    the reach, ends in plain colour, too. What then grows beyond three times the seed is none.
    """
    seed: Mask = seeds == number
    found = _within(settings.reach, cells, seeds, seed, warmth, gap, settings)
    if (found == seed).all():
        farther = _within(2 * settings.reach, cells, seeds, seed, warmth, gap, settings)
        return farther if farther.sum() <= 3 * seed.sum() else seed
    return found


def _within(
    reach: float,
    cells: _Cells,
    seeds: Labels,
    seed: Mask,
    warmth: Float64[np.ndarray, " cells"],
    gap: int,
    settings: FigureSettings,
) -> Mask:
    """The object of a seed, no farther than a reach, in square roots of the seed's area."""
    away = distance_transform_edt(~seed) / np.sqrt(seed.sum())
    near = away <= reach
    inside = cells.share(seed) > 0.5
    taken = cells.share((seeds > 0) & ~seed) > 0.5
    open_to = (cells.share(near) > 0.5) & ~inside & ~taken
    beyond = ~inside & ~open_to & ~taken
    odds = np.log(_density(cells, inside, settings) + settings.rare)
    odds -= np.log(_density(cells, beyond, settings) + settings.rare)
    if float(odds[inside] @ cells.area[inside]) < settings.distinct * cells.area[inside].sum():
        return seed
    odds = settings.looks * odds + settings.warm * warmth
    odds += settings.near - settings.far * cells.mean(away)
    odds = np.clip(odds, -settings.most, settings.most)
    chosen = _cut(cells, odds, inside, open_to, settings)
    added, rest = chosen & ~inside, ~chosen & ~taken
    chosen = chosen & ~cells.borders.plain(added, rest, settings.plain)
    return _joined(chosen[cells.at] & ~((seeds > 0) & ~seed), seed, gap)


def _warmth(
    attribution_map: AttributionMap | None, seed: Mask
) -> Float64[np.ndarray, "height width"]:
    """Heat, 0 at its median and 1 at the seed's mean."""
    if attribution_map is not None and seed.any():
        low, high = float(np.median(attribution_map)), float(attribution_map[seed].mean())
        if high > low:
            return (attribution_map - low) / (high - low)
    return np.full(seed.shape, _UNKNOWN)


def _density(
    cells: _Cells, among: Chosen, settings: FigureSettings
) -> Float64[np.ndarray, " cells"]:
    """How common each cell's colour is among some cells."""
    if not among.any():
        return np.zeros(len(cells.area))
    apart = ((cells.colour[:, None] - cells.colour[None, among]) ** 2).sum(axis=2)
    weight = cells.area[among] / cells.area[among].sum()
    density: np.ndarray = np.exp(-0.5 * apart / settings.alike**2) @ weight
    return density


def _cut(
    cells: _Cells,
    odds: Float64[np.ndarray, " cells"],
    inside: Chosen,
    open_to: Chosen,
    settings: FigureSettings,
) -> Chosen:
    """The minimum cut between the seed and what is out of its reach.

    What a cell's looks say weighs as much as the outline of a square of its area.
    """
    edges, alike = cells.borders.edges, cells.borders.alike
    say = settings.say * np.sqrt(cells.area) * np.abs(odds)
    out = ~inside & ~open_to
    to_object = np.where(inside, _CERTAIN, np.where(open_to & (odds > 0), say, 0))
    to_rest = np.where(out, _CERTAIN, np.where(open_to & (odds < 0), say, 0))
    count = len(cells.area)
    source, sink, nodes = count, count + 1, np.arange(count)
    rows = np.concatenate([*edges, np.full(count, source), nodes])
    columns = np.concatenate([*edges[::-1], nodes, np.full(count, sink)])
    energy = np.concatenate([alike, alike, to_object, to_rest])
    whole = (energy * _SCALE).round().astype(np.int32)
    graph = coo_matrix((whole, (rows, columns)), shape=(count + 2, count + 2)).tocsr()
    left = graph - maximum_flow(graph, source, sink).flow
    left.data = np.maximum(left.data, 0)
    left.eliminate_zeros()
    reached = breadth_first_order(left, source, return_predecessors=False)
    chosen = np.zeros(count + 2, bool)
    chosen[reached] = True
    return chosen[:count]


def _joined(found: Mask, seed: Mask, gap: int) -> Mask:
    """What hangs together with the seed, small gaps aside."""
    whole = found | seed
    parts = label(binary_dilation(whole, iterations=gap))[0]
    joined: Mask = whole & np.isin(parts, np.unique(parts[seed]))
    return joined
