"""The images of an optimizer step in words."""

import pytest

from pspnet.data.training_loader import StepSize


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ((1, 1, 1), "1 image per step = 1 process × 1 accumulated × 1 image"),
        ((16, 2, 4), "16 images per step = 2 processes × 4 accumulated × 2 images"),
    ],
)
def test_a_step_in_words(step, said):
    assert str(StepSize(*step)) == said
