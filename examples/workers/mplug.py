"""mPLUG-Large as a worker for Counterveil, in an environment of its own.

    python3.8 -m venv mplug
    mplug/bin/pip install "modelscope[multi-modal]<1.10" "transformers<4.29"
    counterveil run photos --out out --reasoner "worker:mplug/bin/python examples/workers/mplug.py"

Written after ModelScope's documentation of its pipelines; not run by this project's tests, which
have no such models at hand.
https://modelscope.cn/models/damo/mplug_visual-question-answering_coco_large_en
"""

import base64
import io
import json
import sys

from modelscope.pipelines import pipeline
from PIL import Image

ANSWER = pipeline("visual-question-answering", "damo/mplug_visual-question-answering_coco_large_en")
CAPTION = pipeline("image-captioning", "damo/mplug_image-captioning_coco_large_en")


def answer(image, question):
    """One answer, or a caption where the question is an open one."""
    if question.startswith("What"):
        return {"text": CAPTION({"image": image})["caption"]}
    return {"text": ANSWER({"image": image, "question": question})["text"]}


for line in sys.stdin:
    asked = json.loads(line)
    picture = Image.open(io.BytesIO(base64.b64decode(asked["image"]))).convert("RGB")
    answers = [answer(picture, question) for question in asked["questions"]]
    print(json.dumps({"answers": answers}), flush=True)
