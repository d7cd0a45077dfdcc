"""How far annotators agree beyond chance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def fleiss_kappa(counts: Int[np.ndarray, "items verdicts"]) -> float:
    """Fleiss' kappa; 1 is full agreement, 0 what chance gives, NaN where it says nothing.

    ``kappa = (P - P_e) / (1 - P_e)``, where ``P`` is the mean share of pairs of annotators that
    agree on an item, and ``P_e = sum_j p_j^2`` of the verdicts' shares. Items may have unequal
    numbers of annotators (some have not finished): ``p_j`` is then the mean of the items' own
    shares, and items with fewer than two, of which no pair can agree, are left out.

    Args:
        counts: of each item, how many annotators gave each verdict.

    References:
        Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76,
        1971. Unequal numbers: Gwet, "Handbook of Inter-Rater Reliability", 2014, chapter 2.
    """
    table = counts[counts.sum(axis=1) >= 2].astype(float)
    if not len(table):
        return float("nan")
    raters = table.sum(axis=1, keepdims=True)
    agreed = (table * (table - 1)).sum(axis=1) / (raters * (raters - 1))[:, 0]
    chance = float(((table / raters).mean(axis=0) ** 2).sum())
    # All of one verdict: no agreement beyond chance can be told from agreement by chance.
    return float("nan") if np.isclose(chance, 1) else float((agreed.mean() - chance) / (1 - chance))
