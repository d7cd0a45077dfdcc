r"""OFA-Large as a worker for Counterveil, in an environment of its own.

    python3.8 -m venv ofa
    ofa/bin/pip install modelscope==1.9.5 fairseq==0.12.2 torch==1.12.1 torchvision==0.13.1 \
        torchaudio==0.12.1 transformers==4.28.1 timm==0.6.13 numpy==1.23.5 librosa==0.9.2 \
        decord==0.6.0 opencv-python-headless==4.8.1.78 open-clip-torch==2.20.0 rapidfuzz==3.9.7 \
        safetensors==0.4.5 unicodedata2==15.1.0 zhconv==1.4.3
    counterveil run photos --out out --reasoner "worker:ofa/bin/python examples/workers/ofa.py"

``--vqa`` and ``--caption`` name other models, by name or folder. The paper's settings: 5 beams, no
three tokens twice.

The same environment does for ``mplug.py``: ModelScope imports the libraries of all its models. With
these versions, the pip that Python 3.8 brings (23.0) and no GPU, this program answers from a tiny
checkpoint in ModelScope's own layout, which ``tests/reasoning/test_peers.py`` makes. The released
weights are untested.
https://modelscope.cn/models/damo/ofa_visual-question-answering_pretrain_large_en
"""

import argparse

from serving import quiet, serve

BEAMS, NO_REPEAT = 5, 3


def settings(pipe):
    """The paper's settings, whatever the checkpoint brings."""
    from modelscope.models.multi_modal.ofa.generate.ngram_repeat_block import NGramRepeatBlock

    generator = pipe.model.generator
    generator.beam_size = BEAMS
    generator.repeat_ngram_blocker = NGramRepeatBlock(NO_REPEAT)  # the size alone is not kept
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
