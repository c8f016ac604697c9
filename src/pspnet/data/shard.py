"""A part of the images of an evaluation or a prediction, which several machines share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pspnet.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """One of `count` parts, counted from 1; each image belongs to exactly one.

    Parts follow one another, so that the frames of a video stay together, and differ by up to one
    image.
    """

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Shard:
        """Return the shard that is written as `2/8`, the second of eight.

        Raises:
            UserError: if it is written otherwise, or is none of the parts.
        """
        numbers = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        shard = cls(int(numbers[1]), int(numbers[2])) if numbers else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise UserError(f"data.shard={text}: give a part and the number of parts, as in 2/8")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def part(self, samples: Sequence[T]) -> list[T]:
        """Return the samples of this part.

        Raises:
            UserError: if there are fewer samples than parts.
        """
        if len(samples) < self.count:
            raise UserError(
                f"data.shard={self}: {len(samples)} images are fewer than the parts; give"
                f" {len(samples)} parts or less"
            )
        first, end = (len(samples) * part // self.count for part in (self.number - 1, self.number))
        return [*samples[first:end]]
