"""OFA-Large as a worker for Counterveil, in an environment of its own.

    python3.8 -m venv ofa
    ofa/bin/pip install "modelscope[multi-modal]<1.10" "transformers<4.29"
    counterveil run photos --out out --reasoner "worker:ofa/bin/python examples/workers/ofa.py"

``--vqa`` and ``--caption`` name other models, by name or folder. The paper's settings: 5 beams, no
three tokens twice.

The tests of Counterveil run this program against a stand-in for ``modelscope``. ModelScope's own
OFA needs fairseq, which does not install on today's Python; with it, this is untested.
https://modelscope.cn/models/damo/ofa_visual-question-answering_pretrain_large_en
"""

import argparse

from serving import quiet, serve

BEAMS, NO_REPEAT = 5, 3


def settings(pipe):
    """The paper's settings, whatever the checkpoint brings."""
    generator = pipe.model.generator
    generator.beam_size, generator.no_repeat_ngram_size = BEAMS, NO_REPEAT
    return pipe


def main():
    """Load the models, then answer until there is nothing more to read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vqa", default="damo/ofa_visual-question-answering_pretrain_large_en")
    parser.add_argument("--caption", default="damo/ofa_image-caption_coco_large_en")
    options = parser.parse_args()
    answers = quiet()
    from modelscope.pipelines import pipeline

    vqa = settings(pipeline("visual-question-answering", model=options.vqa))
    caption = settings(pipeline("image-captioning", model=options.caption))

    def answer(image, question):
        if question.startswith("What"):  # the open questions; the others are of yes or no
            return caption({"image": image})["caption"]
        return vqa({"image": image, "text": question})["text"]

    serve(answer, answers)


if __name__ == "__main__":
    main()
