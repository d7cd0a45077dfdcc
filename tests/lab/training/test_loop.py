"""Schedules and batches of trainings with few steps or few images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterveil.lab.training.loop import OneCycleAdamW, count_batches, split_batches


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.15, 0.2, 0.5, 0.9])
def test_a_training_of_any_number_of_steps_has_a_schedule(warmup):
    """10 steps with a warm-up of a tenth once were a division by zero."""
    for steps in range(1, 31):
        parameter = torch.nn.Parameter(torch.ones(2))
        optimizer = OneCycleAdamW([parameter], 0.1, total_steps=steps, warmup=warmup)
        rates = []
        for _ in range(steps):
            rates.append(optimizer.state_dict()["optimizer"]["param_groups"][0]["lr"])
            optimizer.step(parameter.square().sum())
        assert all(0 < rate <= 0.1 + 1e-9 for rate in rates), (steps, rates)
        assert max(rates) > 0.02, (steps, rates)
        assert parameter.isfinite().all()


@given(st.integers(0, 300), st.integers(2, 70))
def test_batches_hold_every_index_once_and_never_one_alone(count, size):
    batches = list(split_batches(np.arange(count), size))
    assert len(batches) == count_batches(count, size)
    assert np.array_equal(np.concatenate([*batches, np.zeros(0, int)]), np.arange(count))
    assert all(2 <= len(batch) <= size + 1 for batch in batches) or count == 1
