"""A tiny network in the layout of the npm package nsfwjs, and what TensorFlow makes of it."""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile

import numpy as np

SIDE = 9
CONVOLUTION = {"dilation_rate": [1, 1], "use_bias": False, "activation": "linear"}

LAYERS = [
    ("image", "InputLayer", {"batch_input_shape": [None, SIDE, SIDE, 3], "note": "{a:.5,!0"}, []),
    ("pad", "ZeroPadding2D", {"padding": [[0, 1], [0, 1]]}, ["image"]),
    ("stem", "Conv2D", {**CONVOLUTION, "strides": [2, 2], "padding": "valid"}, ["pad"]),
    ("norm", "BatchNormalization", {"epsilon": 0.001, "scale": False, "center": True}, ["stem"]),
    ("clip", "ReLU", {"max_value": 6, "negative_slope": 0, "threshold": 0}, ["norm"]),
    ("deep", "DepthwiseConv2D", {**CONVOLUTION, "strides": [2, 2], "padding": "same"}, ["clip"]),
    ("point", "Conv2D", {**CONVOLUTION, "strides": [2, 2], "padding": "same", "use_bias": True,
                         "activation": "relu"}, ["clip"]),
    ("add", "Add", {}, ["deep", "point"]),
    ("mean", "AveragePooling2D", {"pool_size": [3, 3], "strides": [1, 1], "padding": "same"},
     ["add"]),
    ("join", "Concatenate", {"axis": 3}, ["mean", "add"]),
    ("most", "MaxPooling2D", {"pool_size": [2, 1], "strides": [1, 1], "padding": "valid"},
     ["join"]),
    ("flat", "Flatten", {}, ["most"]),
    ("drop", "Dropout", {"rate": 0.5}, ["flat"]),
    ("classes", "Dense", {"activation": "softmax", "use_bias": True}, ["drop"]),
]  # fmt: skip
"""Name, class, configuration and inputs of each layer."""

SHAPES = {
    "stem/kernel": (3, 3, 3, 4), "norm/beta": (4,), "norm/moving_mean": (4,),
    "norm/moving_variance": (4,), "deep/depthwise_kernel": (3, 3, 4, 1),
    "point/kernel": (1, 1, 4, 4), "point/bias": (4,), "classes/kernel": (16, 5),
    "classes/bias": (5,),
}  # fmt: skip


def weights():
    """Weights by name: quantised to steps of 1/64 from -1.5, except the biases."""
    rng = np.random.default_rng(5)
    return {
        name: (rng.integers(64 if "variance" in name else 0, 193, shape) / 64 - 1.5 * (
            "variance" not in name)).astype(np.float32)
        for name, shape in SHAPES.items()
    }  # fmt: skip


def javascript_literal(value):
    """``value`` as a minifier writes it: bare keys, ``!0`` for true, ``.5`` for 0.5."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{javascript_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(javascript_literal, value)) + "]"
    text = {True: "!0", False: "!1"}.get(value) if isinstance(value, bool) else json.dumps(value)
    return re.sub(r"^(-?)0\.", r"\1.", text)


def module(exported):
    """A browserify bundle that exports one expression."""
    before = "!function(e){module.exports=e()}(function(){return{1:[function(e,a,n){a.exports="
    return f"{before}{exported}}},{{}}]}},{{}},[1])(1)}});"


def members():
    """Contents of the package's files by name."""
    stored, manifest = b"", []
    for name, array in weights().items():
        entry = {"name": name, "shape": list(array.shape), "dtype": "float32"}
        if "bias" in name:
            stored += array.astype("<f4").tobytes()
        else:
            low = float(array.min())
            entry["quantization"] = {"min": low, "scale": 1 / 64, "dtype": "uint8"}
            stored += np.round((array - low) * 64).astype(np.uint8).tobytes()
        manifest.append(entry)
    layers = [
        {"name": name, "class_name": kind, "config": {"name": name, "trainable": True, **config},
         "inbound_nodes": [[[source, 0, 0, {}] for source in sources]] if sources else []}
        for name, kind, config, sources in LAYERS
    ]  # fmt: skip
    model = {
        "modelTopology": {"model_config": {"class_name": "Model", "config": {"layers": layers}}},
        "weightsManifest": [{"paths": ["shard1of2", "shard2of2"], "weights": manifest}],
    }
    folder = "package/dist/models/mobilenet_v2/"
    shards = [base64.b64encode(part).decode() for part in (stored[:100], stored[100:])]
    return {
        f"{folder}model.min.js": module(javascript_literal(model)),
        f"{folder}shard1of2.min.js": module(f'"{shards[0]}"'),
        f"{folder}shard2of2.min.js": module(f'"{shards[1]}"'),
        "package/LICENSE": "The licence\n",
        "package/package.json": '{"version": "0.0.7"}',
    }


def write_archive(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))


def logits(pixels):
    """What TensorFlow computes of ``(9, 9, 3)`` in [0, 1], written out in numpy."""
    w = weights()
    x = np.pad(pixels.astype(np.float64), ((0, 1), (0, 1), (0, 0)))
    x = np.stack(
        [
            [np.tensordot(x[r : r + 3, c : c + 3], w["stem/kernel"], 3) for c in range(0, 8, 2)]
            for r in range(0, 8, 2)
        ]
    )  # (4, 4, 4)
    x = (x - w["norm/moving_mean"]) / np.sqrt(w["norm/moving_variance"] + 0.001) + w["norm/beta"]
    x = x.clip(0, 6)
    # "same" for 4 rows, kernel 3 and stride 2: one row of zeros, at the end.
    padded = np.pad(x, ((0, 1), (0, 1), (0, 0)))
    deep = np.stack(
        [
            [
                (padded[r : r + 3, c : c + 3] * w["deep/depthwise_kernel"][..., 0]).sum((0, 1))
                for c in (0, 2)
            ]
            for r in (0, 2)
        ]
    )  # (2, 2, 4)
    point = (x[::2, ::2] @ w["point/kernel"][0, 0] + w["point/bias"]).clip(0)
    added = deep + point
    # All nine cells of a pool over 2 x 2 pixels, without those outside, are the four pixels.
    mean = np.broadcast_to(added.mean((0, 1)), added.shape)
    joined = np.concatenate([mean, added], axis=-1)
    flat = joined.max(0).reshape(-1)  # (2, 8), channels last
    return flat @ w["classes/kernel"] + w["classes/bias"]
