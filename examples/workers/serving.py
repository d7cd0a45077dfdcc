"""Shared by the workers: read lines of JSON, write lines of JSON.

It runs in the worker's own environment, which may be as old as Python 3.7.
"""

import base64
import io
import json
import os
import sys


def redirect_stdout():
    """Send all other output to standard error; returns the file for the answers.

    Libraries print progress and warnings, also from C and from child processes. Only answers may
    reach the caller.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return answers


def serve(answer_question, answers):
    """Answer each line of standard input until it ends.

    Args:
        answer_question: function from a PIL image and a question to a sentence.
        answers: file from :func:`redirect_stdout`, called before importing the model's library.
    """
    from PIL import Image

    for line in sys.stdin:
        request = json.loads(line)
        image = Image.open(io.BytesIO(base64.b64decode(request["image"]))).convert("RGB")
        texts = [sentence(answer_question(image, question)) for question in request["questions"]]
        answers.write(json.dumps({"answers": [{"text": text} for text in texts]}) + "\n")
        answers.flush()


def sentence(value):
    """Unwrap a pipeline's output: ``"no"``, ``["no"]`` or ``[["no"]]``.

    Raises:
        TypeError: the output holds no sentence.
    """
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    if not isinstance(value, str):
        raise TypeError(f"expected a sentence, got {value!r}")
    return value.strip()
