import numpy as np
import pytest

from counterveil.errors import ModelError
from counterveil.segmentation import LoadsWeights, make
from counterveil.segmentation.sam import Sam, non_maximum_suppression, stack_masks
from tests.segmentation.checking import assert_partition, noise


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A SAM with random weights and an input of 64 px."""
    from counterveil.classifiers.architectures import import_torchvision

    import_torchvision()
    import torch
    from transformers import SamConfig, SamImageProcessor, SamModel

    vision = {"hidden_size": 16, "output_channels": 16, "num_pos_feats": 8, "mlp_dim": 16}
    vision |= {"num_hidden_layers": 1, "num_attention_heads": 2, "global_attn_indexes": [0]}
    vision |= {"image_size": 64, "patch_size": 16, "window_size": 2}
    prompt = {"hidden_size": 16, "image_size": 64, "patch_size": 16, "image_embedding_size": 4}
    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    decoder |= {"iou_head_hidden_dim": 16, "iou_head_depth": 2}
    torch.manual_seed(0)
    model = SamModel(
        SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    )
    for name, weight in model.named_parameters():
        if "hypernet" in name or "upscale" in name:
            weight.data.mul_(30)  # otherwise all logits would be close to 0
    folder = tmp_path_factory.mktemp("sam")
    model.save_pretrained(folder)
    processor = SamImageProcessor(
        size={"longest_edge": 64},
        pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )
    processor.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("shape", [(64, 64), (40, 90), (17, 16), (130, 33)])
def test_masks_become_connected_regions_the_same_each_time(checkpoint, shape):
    sam = Sam(model=checkpoint, points_per_side=4, pred_iou_thresh=-1.0, stability_score_thresh=0.0)
    labels = sam(noise(*shape))
    assert_partition(labels, shape)
    assert sam._generate_masks(noise(*shape)), (
        "the checkpoint found no masks, so nothing was tested"
    )
    assert np.array_equal(labels, sam(noise(*shape)))


def test_without_a_reliable_mask_the_image_is_one_region(checkpoint):
    assert Sam(model=checkpoint, points_per_side=4, pred_iou_thresh=9.0)(noise(30, 50)).max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 300)])
def test_a_very_narrow_image_is_one_region_and_needs_no_model(shape):
    assert_partition(make("sam", model="no/such")(noise(*shape)), shape)


def test_a_missing_checkpoint_is_a_model_error(tmp_path):
    sam = Sam(model=str(tmp_path))
    for use in (sam.load, lambda: sam(noise(40, 40))):
        with pytest.raises(ModelError, match="cannot be loaded as a SAM checkpoint"):
            use()


def test_only_a_segmentation_with_weights_can_be_loaded_early(checkpoint):
    sam = make("sam", model=checkpoint)
    assert isinstance(sam, LoadsWeights)
    sam.load()
    assert not isinstance(make("slic"), LoadsWeights)


def test_smaller_masks_lie_on_top():
    whole, part = np.zeros((2, 20, 20), dtype=bool)
    whole[2:18, 2:18] = True
    part[4:8, 4:8] = True
    labels = stack_masks([part, whole], 20, 20)
    assert labels[0, 0] == 0
    assert labels[5, 5] == 2
    assert labels[10, 10] == 1


def test_of_masks_with_the_same_box_the_best_is_kept():
    import torch

    masks = torch.zeros(4, 30, 30, dtype=torch.bool)
    for mask, (top, left, bottom, right) in zip(
        masks, [(0, 0, 10, 10), (0, 0, 9, 10), (20, 20, 30, 30), (0, 0, 2, 10)], strict=True
    ):
        mask[top:bottom, left:right] = True
    quality = torch.tensor([0.9, 0.95, 0.5, 0.7])
    assert non_maximum_suppression(masks, quality) == [1, 3, 2]
    assert non_maximum_suppression(masks[:0], quality[:0]) == []
