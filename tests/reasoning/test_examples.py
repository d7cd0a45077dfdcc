"""The programs in examples/workers, as real processes, with a fake of their library.

ModelScope runs OFA and mPLUG with old libraries; ``test_baselines.py`` uses it where it is
installed. The fake here has its names and shapes, prints as it does, and reports its settings.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from counterveil import reasoning
from counterveil.categories import ControlCode
from counterveil.reasoning.interfaces import DESCRIPTION_QUESTION
from tests.reasoning.test_conditional import pictures

WORKERS = Path(__file__).parents[2] / "examples" / "workers"

MODELSCOPE = '''
import os, subprocess, sys
print("2024-01-01 modelscope: loading")

class Generator:
    """Of both: OFA's has these settings itself, mPLUG's in args."""
    def __init__(self):
        self.beam_size, self.repeat_ngram_blocker, self.max_length = 1, None, 10
        self.args = type("Args", (), {})()
        self.model = type("Decoder", (), {"config": type("C", (), {"max_position_embeddings": 64})})

    def translate_batch(self, inputs, do_sample=False, out_size=1):
        args = self.args
        return f"sample={do_sample} top_k={args.top_k} top_p={args.top_p} length={self.max_length}"

class Model:
    def __init__(self):
        self.generator = self.beam_generator = Generator()
        self.model = self

class Pipeline:
    def __init__(self, task, model):
        self.task, self.name, self.model = task, model, Model()
        print("load checkpoint from", model)

    def __call__(self, inputs):
        print("progress: 100%")
        os.system("echo from a child process")
        image, generator = inputs["image"], self.model.generator
        if self.task == "image-captioning":
            return {"caption": [[f" {image.size} {image.mode} by {self.name} "]]}
        if "text" in inputs:
            assert "question" not in inputs
            setting = f"beams={generator.beam_size} no_repeat={generator.repeat_ngram_blocker}"
            return {"text": [f"yes, {setting}"]}
        return {"text": "no, " + generator.translate_batch(inputs)}

def pipeline(task, model):
    return Pipeline(task, model)
'''


@pytest.fixture
def worker(tmp_path, monkeypatch):
    package = tmp_path / "modelscope"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "pipelines.py").write_text(MODELSCOPE)
    generate = package / "models" / "multi_modal" / "ofa" / "generate"
    generate.mkdir(parents=True)
    (generate / "ngram_repeat_block.py").write_text("NGramRepeatBlock = str")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = []

    def start(name, *options):
        command = shlex.join([sys.executable, str(WORKERS / name), *options])
        started.append(reasoning.load(f"worker:{command}"))
        return started[-1]

    yield start
    for made in started:
        made.close()


@pytest.mark.parametrize(
    ("name", "said", "p_yes"),
    [
        ("ofa.py", "yes, beams=5 no_repeat=3", 1.0),
        ("mplug.py", "no, sample=True top_k=5 top_p=1.0 length=63", 0.0),
    ],
)
def test_worker_answers_with_the_papers_settings(worker, name, said, p_yes):
    made = worker(name, "--caption", "another/model")
    asked = [[DESCRIPTION_QUESTION, "Does the image contain any weapons?"]] * 2
    for row, image in zip(
        made.answer(pictures(), asked, [ControlCode({"self_harm": 0.5})] * 2),
        pictures(),
        strict=True,
    ):
        described, answered = row
        height, width = image.shape[:2]
        assert described.text == f"({width}, {height}) RGB by another/model"
        assert (answered.text, answered.p_yes) == (said, p_yes)
    assert made.info.name == f"worker:{name}"


@pytest.mark.parametrize("name", ["ofa.py", "mplug.py"])
def test_missing_library_of_a_worker_is_reported(worker, name, tmp_path):
    (tmp_path / "modelscope" / "pipelines.py").write_text("raise ImportError('no fairseq')")
    [[answered]] = worker(name).answer(pictures(1), [["Is it so?"]], [ControlCode({})])
    assert answered.p_yes is None
    assert "no fairseq" in answered.reason


def test_unknown_option_of_a_worker_is_reported(worker):
    [[answered]] = worker("ofa.py", "--beams", "3").answer(
        pictures(1), [["Is it so?"]], [ControlCode({})]
    )
    assert "unrecognized arguments" in answered.reason


def test_deepspeed_configuration_leaves_nothing_automatic(tmp_path, monkeypatch):
    """Uses the reader of transformers; a subclass replaces the DeepSpeed dependency."""
    from accelerate.utils.deepspeed import HfDeepSpeedConfig
    from transformers import TrainingArguments
    from transformers.integrations import deepspeed
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    monkeypatch.setattr(deepspeed, "dep_version_check", lambda package: None)
    path = WORKERS.parent / "deepspeed" / "zero2.json"

    class Reader(HfTrainerDeepSpeedConfig, HfDeepSpeedConfig):
        pass

    config = Reader(json.loads(path.read_text()))
    arguments = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=4, use_cpu=True, report_to=[], bf16=True
    )
    config.trainer_config_process(arguments)
    config.trainer_config_finalize(arguments, model=None, num_training_steps=10)
    assert config.is_zero2()
    assert config.config["train_micro_batch_size_per_gpu"] == 4
    assert config.config["bf16"]["enabled"] is True
    assert "auto" not in json.dumps(config.config)
