r"""mPLUG-Large as a worker for Counterveil, in an environment of its own.

    python3.8 -m venv mplug
    mplug/bin/pip install modelscope==1.9.5 fairseq==0.12.2 torch==1.12.1 torchvision==0.13.1 \
        torchaudio==0.12.1 transformers==4.28.1 timm==0.6.13 numpy==1.23.5 librosa==0.9.2 \
        decord==0.6.0 opencv-python-headless==4.8.1.78 open-clip-torch==2.20.0 rapidfuzz==3.9.7 \
        safetensors==0.4.5 unicodedata2==15.1.0 zhconv==1.4.3
    counterveil run photos --out out --reasoner "worker:mplug/bin/python examples/workers/mplug.py"

``--vqa`` and ``--caption`` select other models, by name or folder. Settings as in the paper: sample
from the 5 most probable tokens, at most 512 tokens; ``--seed`` makes samples reproducible.

The environment also serves ``ofa.py``, because ModelScope imports the libraries of all its models.
Tested with these versions, the pip of Python 3.8 (23.0) and no GPU, on a tiny checkpoint in
ModelScope's layout that ``tests/reasoning/test_baselines.py`` makes. The released weights are
untested.
https://modelscope.cn/models/damo/mplug_visual-question-answering_coco_large_en
"""

import argparse

from serving import redirect_stdout, serve

TOP_K, LENGTH = 5, 512


def use_sampling(pipe):
    """Apply the paper's settings; by default the library uses beam search."""
    generator = pipe.model.model.beam_generator
    options = generator.args
    options.top_k, options.top_p, options.temperature = TOP_K, 1.0, 1.0
    positions = getattr(generator.model.config, "max_position_embeddings", LENGTH)
    generator.max_length = min(LENGTH, positions - 1)
    search = generator.translate_batch

    def sample(inputs, out_size=1):
        return search(inputs, do_sample=True, out_size=out_size)

    generator.translate_batch = sample
    return pipe


def main():
    """Load the models and answer questions until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vqa", default="damo/mplug_visual-question-answering_coco_large_en")
    parser.add_argument("--caption", default="damo/mplug_image-captioning_coco_large_en")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    answers = redirect_stdout()
    import torch
    from modelscope.pipelines import pipeline

    torch.manual_seed(options.seed)
    vqa = use_sampling(pipeline("visual-question-answering", model=options.vqa))
    caption = use_sampling(pipeline("image-captioning", model=options.caption))

    def answer_question(image, question):
        if question.startswith("What"):  # open question; the others are yes-or-no questions
            return caption({"image": image})["caption"]
        return vqa({"image": image, "question": question})["text"]

    serve(answer_question, answers)


if __name__ == "__main__":
    main()
