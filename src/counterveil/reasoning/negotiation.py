"""What a chat server can be asked for, learnt from what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

FEATURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "logprobs": ("logprob",),
        "response_format": ("response_format", "json_schema", "structured output", "grammar"),
        "max_tokens": ("max_tokens",),
        "max_completion_tokens": ("max_completion_tokens",),
        "temperature": ("temperature",),
    }
)
"""Options that a server may lack, in the order in which they are given up where its refusal names
none, each with the words that name it."""
_REFUSED = (400, 422)
"""Statuses of a request that the server does not take as it is; any may name an option."""
_OTHERWISE = (401, 403, 404, 429)
"""Statuses that no option is to blame for."""


class Negotiation:
    """Asks with every option, and without those that the server refuses, once and for all."""

    def __init__(self) -> None:
        self.lacks: frozenset[str] = frozenset()
        self._worked: set[frozenset[str]] = set()

    def ask(self, create: Callable[..., Any], options: Mapping[str, Any]) -> Any:
        """What ``create`` returns with as many of the options as the server takes.

        Raises:
            Exception: what ``create`` raised at first, where giving options up does not help.
        """
        lacks, first = self.lacks, None
        while True:
            sent = _without(options, lacks)
            try:
                reply = create(**sent)
            except Exception as error:  # the client's errors; which, its version knows
                first = first or error
                blamed = self._blamed(error, sent)
                if blamed is None:
                    raise first from None
                lacks |= {blamed}
                continue
            self.lacks |= lacks
            self._worked.add(frozenset(sent))
            return reply

    def _blamed(self, error: Exception, sent: Mapping[str, Any]) -> str | None:
        status = getattr(error, "status_code", None)
        said = f"{getattr(error, 'param', '')} {error}".lower()
        if status is None or status in _OTHERWISE or "content_filter" in said:
            return None
        mine = [name for name in FEATURES if name in sent]
        named = [name for name in mine if any(word in said for word in FEATURES[name])]
        if named:
            return named[0]
        # A server that has taken these options before refuses something else.
        guess = status in _REFUSED and frozenset(sent) not in self._worked
        return mine[0] if guess and mine else None


def _without(options: Mapping[str, Any], lacks: frozenset[str]) -> dict[str, Any]:
    """The options that a server takes; the length goes by its newer name where the old fails."""
    sent = {name: value for name, value in options.items() if name not in lacks}
    if "logprobs" in lacks:
        sent.pop("top_logprobs", None)
    if "max_tokens" in lacks and "max_completion_tokens" not in lacks:
        sent["max_completion_tokens"] = options["max_tokens"]
    return sent
