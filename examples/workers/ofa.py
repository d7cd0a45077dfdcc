r"""OFA-Large as a worker for Counterveil, in an environment of its own.

    python3.8 -m venv ofa
    ofa/bin/pip install modelscope==1.9.5 fairseq==0.12.2 torch==1.12.1 torchvision==0.13.1 \
        torchaudio==0.12.1 transformers==4.28.1 timm==0.6.13 numpy==1.23.5 librosa==0.9.2 \
        decord==0.6.0 opencv-python-headless==4.8.1.78 open-clip-torch==2.20.0 rapidfuzz==3.9.7 \
        safetensors==0.4.5 unicodedata2==15.1.0 zhconv==1.4.3
    counterveil run photos --out out --reasoner "worker:ofa/bin/python examples/workers/ofa.py"

``--vqa`` and ``--caption`` select other models, by name or folder. Settings as in the paper: 5
beams, no repeated trigram.

The environment also serves ``mplug.py``: ModelScope imports the libraries of all its models. Tested
with these versions, the pip of Python 3.8 (23.0) and no GPU, on a tiny checkpoint in ModelScope's
layout that ``tests/reasoning/test_baselines.py`` makes. The released weights are untested.
https://modelscope.cn/models/damo/ofa_visual-question-answering_pretrain_large_en
"""

import argparse

from serving import redirect_stdout, serve

BEAMS, NO_REPEAT = 5, 3


def use_paper_settings(pipe):
    """Replace the checkpoint's settings by the paper's."""
    from modelscope.models.multi_modal.ofa.generate.ngram_repeat_block import NGramRepeatBlock

    generator = pipe.model.generator
    generator.beam_size = BEAMS
    generator.repeat_ngram_blocker = NGramRepeatBlock(NO_REPEAT)  # the size alone is ignored
    return pipe


def main():
    """Load the models and answer questions until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vqa", default="damo/ofa_visual-question-answering_pretrain_large_en")
    parser.add_argument("--caption", default="damo/ofa_image-caption_coco_large_en")
    options = parser.parse_args()
    answers = redirect_stdout()
    from modelscope.pipelines import pipeline

    vqa = use_paper_settings(pipeline("visual-question-answering", model=options.vqa))
    caption = use_paper_settings(pipeline("image-captioning", model=options.caption))

    def answer_question(image, question):
        if question.startswith("What"):  # open question; the others are yes-or-no questions
            return caption({"image": image})["caption"]
        return vqa({"image": image, "text": question})["text"]

    serve(answer_question, answers)


if __name__ == "__main__":
    main()
