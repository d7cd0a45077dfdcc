"""mPLUG-Large as a worker for Counterveil, in an environment of its own.

    python3.8 -m venv mplug
    mplug/bin/pip install "modelscope[multi-modal]<1.10" "transformers<4.29"
    counterveil run photos --out out --reasoner "worker:mplug/bin/python examples/workers/mplug.py"

``--vqa`` and ``--caption`` name other models, by name or folder. The paper's settings: drawn from
the 5 likeliest tokens, at most 512 of them; ``--seed`` makes the draws repeat.

The tests of Counterveil run this program against a stand-in for ``modelscope``. By hand it was
run with the model code of ModelScope 1.40 (transformers 4.49, PyTorch 2.13) on a tiny checkpoint
in its own layout, through a stand-in for ``modelscope.pipelines`` alone: that imports the
libraries of all its models, fairseq among them, which today's Python does not install. The
released weights are untested.
https://modelscope.cn/models/damo/mplug_visual-question-answering_coco_large_en
"""

import argparse

from serving import quiet, serve

TOP_K, LENGTH = 5, 512


def sampled(pipe):
    """The paper's settings; the library itself only searches by beams."""
    generator = pipe.model.model.beam_generator
    options = generator.args
    options.top_k, options.top_p, options.temperature = TOP_K, 1.0, 1.0
    places = getattr(generator.model.config, "max_position_embeddings", LENGTH)
    generator.max_length = min(LENGTH, places - 1)
    search = generator.translate_batch

    def draw(inputs, out_size=1):
        return search(inputs, do_sample=True, out_size=out_size)

    generator.translate_batch = draw
    return pipe


def main():
    """Load the models, then answer until there is nothing more to read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vqa", default="damo/mplug_visual-question-answering_coco_large_en")
    parser.add_argument("--caption", default="damo/mplug_image-captioning_coco_large_en")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    answers = quiet()
    import torch
    from modelscope.pipelines import pipeline

    torch.manual_seed(options.seed)
    vqa = sampled(pipeline("visual-question-answering", model=options.vqa))
    caption = sampled(pipeline("image-captioning", model=options.caption))

    def answer(image, question):
        if question.startswith("What"):  # the open questions; the others are of yes or no
            return caption({"image": image})["caption"]
        return vqa({"image": image, "question": question})["text"]

    serve(answer, answers)


if __name__ == "__main__":
    main()
