"""What workers have in common: lines of JSON in, lines of JSON out, nothing else on the way.

It runs in the worker's own environment, which may be as old as Python 3.7.
"""

import base64
import io
import json
import os
import sys


def quiet():
    """Give the answers a channel of their own; returns it.

    Libraries print: progress, warnings, "load checkpoint from". From here on all that goes to
    standard error, also from C and from child processes, and only answers go to the caller.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


def serve(answer, answers):
    """Answer each line of standard input until it ends.

    Args:
        answer: from a PIL image and a question to a sentence.
        answers: what :func:`quiet` returned, called before the model's library was imported.
    """
    from PIL import Image

    for line in sys.stdin:
        asked = json.loads(line)
        image = Image.open(io.BytesIO(base64.b64decode(asked["image"]))).convert("RGB")
        said = [{"text": words(answer(image, question))} for question in asked["questions"]]
        answers.write(json.dumps({"answers": said}) + "\n")
        answers.flush()


def words(value):
    """The sentence in what a pipeline returns: ``"no"``, ``["no"]``, ``[["no"]]``.

    Raises:
        TypeError: there is none.
    """
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    if not isinstance(value, str):
        raise TypeError(f"expected a sentence, got {value!r}")
    return value.strip()
