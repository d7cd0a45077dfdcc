"""Ask a server again what failed in passing; stop asking one that is not there."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

_FIRST, _LONGEST = 0.5, 8.0
"""Seconds between two tries of one question."""
_LONGEST_REST = 600.0
"""Seconds after which a server that was gone is tried again, at the most."""


class RestingError(Exception):
    """The server did not answer several times in a row and is left alone for a while."""


class Patience:
    """Retries with growing pauses, and a circuit breaker.

    A server that hangs would cost its time-out for every question of every image. After
    ``failures`` time-outs or refused connections in a row nobody asks for ``rest`` seconds; then
    one tries, and the rest doubles where that fails, too.

    Args:
        retries: of one question.
        failures: in a row, of any questions.
        rest: seconds.
        gone: whether an error means that the server is not there.
        passing: seconds to wait, at least, before the question is asked again; ``None``: never.
    """

    def __init__(
        self,
        *,
        retries: int,
        gone: Callable[[Exception], bool],
        passing: Callable[[Exception], float | None],
        failures: int = 3,
        rest: float = 30.0,
    ) -> None:
        self._retries, self._gone, self._passing = retries, gone, passing
        self._most, self._rest = failures, rest
        self._failed, self._rests, self._until = 0, 0, 0.0
        self._trial, self._noting = Lock(), Lock()

    def ask(self, call: Callable[[], T]) -> T:
        """What ``call`` returns.

        Raises:
            RestingError: it was not called.
            Exception: what it raised the last time.
        """
        if not self._open:
            return self._tried(call, self._retries)
        with self._trial:  # one tries, the others wait for what comes of it
            if self._open:
                left = self._until - time.monotonic()
                if left > 0:
                    raise RestingError(
                        f"the server did not answer {self._failed} times in a row; "
                        f"it is asked again in {left:.0f} s"
                    )
                return self._tried(call, 0, trial=True)
        return self._tried(call, self._retries)

    @property
    def _open(self) -> bool:
        return self._failed >= self._most

    def _tried(self, call: Callable[[], T], retries: int, *, trial: bool = False) -> T:
        pause = _FIRST
        while True:
            try:
                answer = call()
            except Exception as error:  # the client's errors; its caller tells what they mean
                self._note(gone=self._gone(error), trial=trial)
                wait = self._passing(error)
                if wait is None or retries < 1 or self._open:
                    raise
                retries -= 1
                time.sleep(max(wait, pause * random.uniform(0.75, 1)))
                pause = min(2 * pause, _LONGEST)
            else:
                self._note(gone=False, trial=trial)
                return answer

    def _note(self, *, gone: bool, trial: bool) -> None:
        with self._noting:
            if not gone:
                self._failed = self._rests = 0
                return
            self._failed += 1
            # Questions that were under way when the rest began do not prolong it.
            if trial or self._failed == self._most:
                rest = self._rest * 2 ** min(self._rests, 16)
                self._until = time.monotonic() + min(_LONGEST_REST, rest)
                self._rests += 1
