"""How far our scores of nsfwjs's networks are from nsfwjs's own, run by TensorFlow.js in node.

    npm pack nsfwjs@4.4.0
    npm install --prefix FOLDER @tensorflow/tfjs@4 buffer@6 ./nsfwjs-4.4.0.tgz
    python benchmarks/nsfwjs_vs_tensorflowjs.py nsfwjs-4.4.0.tgz FOLDER

The photographs are scikit-image's. Prints one line of JSON for each network.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import skimage.data
import torch

from counterveil.classifiers import nsfwjs

PHOTOGRAPHS = ("astronaut", "cat", "coffee", "rocket", "immunohistochemistry")

SCRIPT = """
import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import { load } from "nsfwjs/core";
import { MobileNetV2Model } from "nsfwjs/models/mobilenet_v2";
import { InceptionV3Model } from "nsfwjs/models/inception_v3";

const [name, ...images] = JSON.parse(process.argv[2]);
const size = name === "InceptionV3" ? 299 : 224;
console.info = () => {};
const model = await load(name, { size, modelDefinitions: [MobileNetV2Model, InceptionV3Model] });
const all = [];
for (const { file, shape } of images) {
  const image = tf.tensor3d(new Uint8Array(readFileSync(file)), shape, "int32");
  all.push(Object.fromEntries(
    (await model.classify(image)).map((each) => [each.className, each.probability])));
}
console.log(JSON.stringify(all));
"""
NAMES = {"mobilenet_v2": "MobileNetV2", "inception_v3": "InceptionV3"}


def in_node(folder: Path, network: str, images: list[np.ndarray]) -> np.ndarray:
    """Probabilities of the classes ``(N, 5)``, of nsfwjs itself."""
    script = folder / "classify.mjs"  # beside node_modules, where node looks for packages
    script.write_text(SCRIPT)
    with tempfile.TemporaryDirectory() as scratch:
        described = []
        for number, image in enumerate(images):
            file = Path(scratch) / f"{number}.raw"
            file.write_bytes(image.tobytes())
            described.append({"file": str(file), "shape": image.shape})
        command = ["node", script.name, json.dumps([NAMES[network], *described])]
        output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return np.array(
        [
            [each[name] for name in nsfwjs.CLASSES]
            for each in json.loads(output.stdout.splitlines()[-1])
        ]
    )


def in_torch(archive: Path, network: str, images: list[np.ndarray]) -> np.ndarray:
    classifier = nsfwjs.load(f"{archive}#{network}")
    with torch.no_grad():
        parts = [classifier.module(classifier.to_input(image[None])) for image in images]
    return torch.cat(parts).softmax(dim=1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    images = [getattr(skimage.data, name)() for name in PHOTOGRAPHS]
    for network in nsfwjs.NETWORKS:
        ours = in_torch(arguments.archive, network, images)
        theirs = in_node(arguments.folder, network, images)
        difference = float(np.abs(ours - theirs).max())
        print(json.dumps({"network": network, "images": len(images), "difference": difference}))


if __name__ == "__main__":
    main()
