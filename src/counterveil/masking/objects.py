"""Completes a mask of object parts to whole objects, by colour and by attribution.

A minimal mask hides what a classifier needs of an object; the rest may stay visible. As in
GrabCut, a minimum cut separates what looks like the masked part from what looks like the rest
of the image, here on superpixels and object by object. Parts of another colour are found by
their attribution.
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

CellSet = Bool[np.ndarray, " cells"]

_HARD_CONSTRAINT = 1e4  # outweighs any boundary; a pixel of boundary costs at most 1
_CAPACITY_SCALE = 1000  # the maximum flow needs integer capacities
_NEUTRAL_ATTRIBUTION = 0.5  # where none is known; colour then decides alone


@dataclass(frozen=True)
class CompletionSettings:
    """What belongs to the same object; tuned on validation scenes.

    Lengths are in square roots of the masked part's area, or in shares of the image's shorter
    side where the text says so.

    Attributes:
        max_rounds: rounds of growing, each from the result of the last.
        reach: how far an object may grow in a round.
        colour_scale: standard deviation of the Gaussian that compares colours, in CIELAB.
        colour_floor: density of a colour that occurs nowhere.
        colour_weight: weight of the log-odds of a cell's colour, object against background.
        attribution_weight: log-odds of a cell with the masked part's mean attribution, over
            one with the image's median.
        contact_log_odds: log-odds of a cell that touches the object.
        distance_weight: fall of the log-odds per unit of distance.
        min_distinctness: least mean log-odds of the object's own colours; an object that looks
            like its background is not grown.
        max_log_odds: largest absolute log-odds of a cell.
        unary_weight: weight of the colour-and-attribution (unary) term relative to the boundary
            term of the graph cut.
        max_area: share of the image, and
        max_growth: multiple of the masked part's area, beyond which both a result is background.
        max_weak_edge: largest share of a grown piece's outline without a colour edge; an
            object ends at edges.
        max_gap: largest distance between parts of one object (share of the shorter side).
        dilation: added all around, since outlines show shapes (share of the shorter side).
        max_hole: largest hole that is filled, as a share of the object's area: letters on a
            sign can be read in the holes that they leave.
    """

    max_rounds: int = 3
    reach: float = 0.9
    colour_scale: float = 7.0
    colour_floor: float = 0.01
    colour_weight: float = 1.25
    attribution_weight: float = 3.1
    contact_log_odds: float = -1.0
    distance_weight: float = 1.8
    min_distinctness: float = 0.8
    max_log_odds: float = 4.0
    unary_weight: float = 4.0
    max_area: float = 0.25
    max_growth: float = 3.0
    max_weak_edge: float = 0.35
    max_gap: float = 1 / 56
    dilation: float = 1 / 200
    max_hole: float = 0.25


_DEFAULT_SETTINGS = CompletionSettings()


def complete_objects(
    image: Image,
    core_mask: Mask,
    labels: Labels,
    *,
    attribution_map: AttributionMap | None = None,
    settings: CompletionSettings = _DEFAULT_SETTINGS,
) -> Mask:
    """The objects that a mask touches, slightly dilated; includes the mask.

    Args:
        image: RGB, ``(H, W, 3)``.
        core_mask: parts of objects, ``(H, W)``.
        labels: superpixels that follow the outlines of objects, ``(H, W)``.
        attribution_map: attribution ``(H, W)``; without it, colour decides alone.
        settings: what belongs to the same object.

    References:
        Rother et al., "GrabCut", 2004; Boykov and Jolly, "Interactive graph cuts", 2001.
    """
    lab, objects = rgb2lab(image), core_mask
    shorter_side = min(core_mask.shape)
    gap = max(1, round(settings.max_gap * shorter_side))
    attribution = _normalised(attribution_map, core_mask)
    for _ in range(settings.max_rounds):
        grown = _Growth(lab, objects, labels, attribution, gap, settings).grow()
        too_large = grown.mean() > settings.max_area
        too_large = too_large and grown.sum() > settings.max_growth * core_mask.sum()
        if too_large or (grown == objects).all():
            break
        objects = grown
    width = round(settings.dilation * shorter_side)
    dilated: Mask = binary_dilation(objects, iterations=width) if width else objects.copy()
    return fill_small_holes(dilated, settings.max_hole)


def _normalised(
    attribution_map: AttributionMap | None, core_mask: Mask
) -> Float64[np.ndarray, "height width"]:
    """Attribution, 0 at its median and 1 at its mean in the mask."""
    if attribution_map is not None and core_mask.any():
        low, high = float(np.median(attribution_map)), float(attribution_map[core_mask].mean())
        if high > low:
            return (attribution_map - low) / (high - low)
    return np.full(core_mask.shape, _NEUTRAL_ATTRIBUTION)


def fill_small_holes(mask: Mask, max_hole: float) -> Mask:
    """Fill holes of each connected part that are small relative to the part."""
    filled = mask.copy()
    parts, count = label(mask)
    for number in range(1, count + 1):
        part = parts == number
        holes = label(_without_holes(part) & ~part)[0]
        small = np.bincount(holes.ravel()) <= max_hole * part.sum()
        small[0] = False  # 0 is no hole
        filled |= small[holes]
    return filled


def _without_holes(part: Mask) -> Mask:
    """A part with its holes filled; one edge of the image may close a hole (a cut-off sign)."""
    filled: Mask = binary_fill_holes(part)
    for turns in range(4):
        padded = np.pad(np.rot90(part, turns), ((1, 0), (0, 0)), constant_values=True)
        filled |= np.rot90(binary_fill_holes(padded)[1:], -turns)
    return filled


@dataclass(frozen=True, eq=False)
class _Cells:
    """Superpixels, cut along the outlines of the masked parts, and the edges between them."""

    labels: Int[np.ndarray, "height width"]
    area: Float64[np.ndarray, " cells"]
    colour: Float64[np.ndarray, "cells 3"]  # mean, CIELAB
    ends: Int[np.ndarray, "2 edges"]  # the two cells of each edge
    length: Int[np.ndarray, " edges"]  # pixels along each edge
    similarity: Float64[np.ndarray, " edges"]  # length, weighted by colour similarity

    @classmethod
    def cut(cls, lab: np.ndarray, labels: Labels, parts: Labels, colour_scale: float) -> _Cells:
        """Cells of a CIELAB image ``(H, W, 3)`` whose masked parts are numbered from 1."""
        both = labels.astype(np.int64) * (int(parts.max()) + 1) + parts
        cells = np.unique(both, return_inverse=True)[1].reshape(both.shape)
        area = np.bincount(cells.ravel()).astype(float)
        sums = [np.bincount(cells.ravel(), channel.ravel()) for channel in np.moveaxis(lab, -1, 0)]
        colour = np.stack(sums, axis=1) / area[:, None]
        horizontal = np.stack([cells[:, :-1].ravel(), cells[:, 1:].ravel()])
        vertical = np.stack([cells[:-1].ravel(), cells[1:].ravel()])
        pairs = np.concatenate([horizontal, vertical], axis=1)
        pairs = np.sort(pairs[:, pairs[0] != pairs[1]], axis=0)
        ends, length = np.unique(pairs, axis=1, return_counts=True)
        squared = ((colour[ends[0]] - colour[ends[1]]) ** 2).sum(axis=1)
        similarity = length * np.exp(-0.5 * squared / colour_scale**2)
        return cls(cells, area, colour, ends, length, similarity)

    def mean(self, values: np.ndarray) -> Float64[np.ndarray, " cells"]:
        """Mean over each cell of values ``(H, W)``."""
        mean: np.ndarray = np.bincount(self.labels.ravel(), values.ravel()) / self.area
        return mean

    def colour_density(self, among: CellSet, colour_scale: float) -> Float64[np.ndarray, " cells"]:
        """Density of each cell's colour among some cells (Gaussian kernel, weighted by area)."""
        if not among.any():
            return np.zeros(len(self.area))
        squared = ((self.colour[:, None] - self.colour[None, among]) ** 2).sum(axis=2)
        weight = self.area[among] / self.area[among].sum()
        density: np.ndarray = np.exp(-0.5 * squared / colour_scale**2) @ weight
        return density

    def weakly_bounded(self, added: CellSet, rest: CellSet, max_weak_edge: float) -> CellSet:
        """Added cells in connected pieces whose boundary to the rest is mostly weak."""
        count = len(added)
        inner = self.ends[:, added[self.ends].all(axis=0)]
        graph = coo_matrix((np.ones(inner.shape[1]), inner), shape=(count, count))
        pieces = connected_components(graph, directed=False)[1]
        outer = (added[self.ends] & rest[self.ends[::-1]]).any(axis=0)
        ends = self.ends[:, outer]
        piece = pieces[np.where(added[ends[0]], *ends)]
        similarity = np.bincount(piece, self.similarity[outer], count)
        length = np.bincount(piece, self.length[outer], count)
        weak: CellSet = added & (similarity > max_weak_edge * length)[pieces]
        return weak

    def minimum_cut(
        self, unary: Float64[np.ndarray, " cells"], inside: CellSet, outside: CellSet
    ) -> CellSet:
        """Cells on the object's side of the minimum cut; positive ``unary`` favours the object."""
        to_object = np.where(inside, _HARD_CONSTRAINT, np.where(outside, 0, np.maximum(unary, 0)))
        to_rest = np.where(outside, _HARD_CONSTRAINT, np.where(inside, 0, np.maximum(-unary, 0)))
        count = len(self.area)
        source, sink, nodes = count, count + 1, np.arange(count)
        rows = np.concatenate([*self.ends, np.full(count, source), nodes])
        columns = np.concatenate([*self.ends[::-1], nodes, np.full(count, sink)])
        capacity = np.concatenate([self.similarity, self.similarity, to_object, to_rest])
        integers = (capacity * _CAPACITY_SCALE).round().astype(np.int32)
        graph = coo_matrix((integers, (rows, columns)), shape=(count + 2, count + 2)).tocsr()
        residual = graph - maximum_flow(graph, source, sink).flow
        residual.data = np.maximum(residual.data, 0)
        residual.eliminate_zeros()
        chosen = np.zeros(count + 2, bool)
        chosen[breadth_first_order(residual, source, return_predecessors=False)] = True
        return chosen[:count]


class _Growth:
    """One round of growing; masked parts that are at most ``gap`` pixels apart are one part."""

    def __init__(
        self,
        lab: np.ndarray,
        mask: Mask,
        labels: Labels,
        attribution: Float64[np.ndarray, "height width"],
        gap: int,
        settings: CompletionSettings,
    ) -> None:
        self._mask, self._gap, self._settings = mask, gap, settings
        numbers, self._count = label(binary_dilation(mask, iterations=gap))
        self._parts = np.where(mask, numbers, 0).astype(np.int32)
        self._cells = _Cells.cut(lab, labels, self._parts, settings.colour_scale)
        self._attribution = self._cells.mean(attribution)

    def grow(self) -> Mask:
        """The mask with each part grown to its object."""
        objects = self._mask.copy()
        for number in range(1, self._count + 1):
            objects |= self._grow_part(self._parts == number)
        return objects

    def _grow_part(self, part: Mask) -> Mask:
        grown = self._within_reach(part, self._settings.reach)
        if (grown != part).any():
            return grown
        # A long object that the reach cuts off ends without an edge there and is rejected.
        farther = self._within_reach(part, 2 * self._settings.reach)
        return farther if farther.sum() <= 3 * part.sum() else part

    def _within_reach(self, part: Mask, reach: float) -> Mask:
        """The object of a part; pixels of other parts are left to those."""
        cells, settings = self._cells, self._settings
        distance = distance_transform_edt(~part) / np.sqrt(part.sum())
        others = self._mask & ~part
        inside, excluded = cells.mean(part) > 0.5, cells.mean(others) > 0.5
        undecided = (cells.mean(distance <= reach) > 0.5) & ~inside & ~excluded
        log_odds = self._colour_log_odds(inside, ~inside & ~undecided & ~excluded)
        area = cells.area[inside]
        if float(log_odds[inside] @ area) < settings.min_distinctness * area.sum():
            return part
        log_odds = settings.colour_weight * log_odds
        log_odds = log_odds + settings.attribution_weight * self._attribution
        log_odds += settings.contact_log_odds - settings.distance_weight * cells.mean(distance)
        log_odds = np.clip(log_odds, -settings.max_log_odds, settings.max_log_odds)
        # The square root of the area makes the unary term comparable to a cell's outline.
        unary = settings.unary_weight * np.sqrt(cells.area) * log_odds
        chosen = cells.minimum_cut(unary, inside, ~inside & ~undecided)
        added, rest = chosen & ~inside, ~chosen & ~excluded
        chosen = chosen & ~cells.weakly_bounded(added, rest, settings.max_weak_edge)
        return self._connected(chosen[cells.labels] & ~others, part)

    def _colour_log_odds(
        self, inside: CellSet, background: CellSet
    ) -> Float64[np.ndarray, " cells"]:
        scale, floor = self._settings.colour_scale, self._settings.colour_floor
        log_odds = np.log(self._cells.colour_density(inside, scale) + floor)
        log_odds -= np.log(self._cells.colour_density(background, scale) + floor)
        return log_odds

    def _connected(self, grown: Mask, part: Mask) -> Mask:
        """Pixels that are connected to a part, across gaps."""
        whole = grown | part
        components = label(binary_dilation(whole, iterations=self._gap))[0]
        connected: Mask = whole & np.isin(components, np.unique(components[part]))
        return connected
