"""Pixels of training crops counted on a grid, against upsampled logits."""

import pytest
import torch
import torch.nn.functional as F

from pspnet.evaluation.crop_counts import crop_counts


@pytest.mark.parametrize(("size", "align_corners"), [((33, 49), True), ((32, 48), False)])
def test_the_grid_holds_pixels_of_the_upsampled_prediction(size, align_corners):
    torch.manual_seed(0)
    height, width = (-(-side // 8) for side in size)
    logits, target = torch.randn(2, 5, height, width), torch.randint(0, 5, (2, *size))
    target[:, :9, :17] = 255
    if align_corners:  # features lie on pixels
        full = F.interpolate(logits, size=size, mode="bilinear", align_corners=True)
        found, rows, columns = full.argmax(1), range(0, size[0], 8), range(0, size[1], 8)
    else:  # features lie between pixels 3 and 4 of 8
        full = logits.repeat_interleave(8, 2).repeat_interleave(8, 3)
        found, rows, columns = full.argmax(1), range(4, size[0], 8), range(4, size[1], 8)
    expected = torch.zeros(5, 5, dtype=torch.int64)
    for image in range(2):
        for row in rows:
            for column in columns:
                if (wanted := target[image, row, column]) != 255:
                    expected[wanted, found[image, row, column]] += 1
    for form in (logits, full):
        matrix = crop_counts(form, target, stride=8, align_corners=align_corners)
        torch.testing.assert_close(matrix, expected)


def test_crops_of_any_size_and_without_a_label():
    logits, target = torch.randn(1, 3, 1, 7), torch.full((1, 5, 50), 255)
    target[:, 0, 49] = 2
    for form in (logits, torch.randn(1, 3, 5, 50)):
        matrix = crop_counts(form, target, stride=8, align_corners=True)
        assert matrix.sum(1).tolist() == [0, 0, 1]
