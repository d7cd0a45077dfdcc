"""Labels in specs: ``LABEL+LABEL``."""

from __future__ import annotations

from collections.abc import Mapping

from counterveil.errors import UsageError


def label_indices(labels: str, names: Mapping[int, str]) -> tuple[int, ...]:
    """Indices of the labels joined by ``+``, ignoring case; a label may contain a plus itself."""
    by_index = {index: name.strip().casefold() for index, name in names.items()}
    parts = labels.casefold().split("+")
    unsafe = set()
    while parts:
        # Longest match first, because a label may contain a plus.
        candidates = ["+".join(parts[:end]).strip() for end in range(len(parts), 0, -1)]
        label = next((c for c in candidates if c in by_index.values()), None)
        if label is None:
            shown = [names[index] for index in sorted(names)][:30]
            shown += [f"and {len(names) - 30} more"] * (len(names) > 30)
            raise UsageError(
                f"the model has no label {candidates[-1]!r}; choose among {', '.join(shown)}"
            )
        unsafe.add(label)
        del parts[: label.count("+") + 1]
    return tuple(sorted(index for index, name in by_index.items() if name in unsafe))
