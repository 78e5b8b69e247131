"""FakeData: random images, for trying out a program before the real data is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import message
from ...ops.random.draws import Generator, randint, randn
from ..transforms.batched import takes_pixels
from ..transforms.pixels import pixels_of, to_pil_image
from .base import VisionDataset


class FakeData(VisionDataset):
    """Random images with random classes; sample i is the same each time.

    Sample i is made by a generator seeded with i + `random_offset`: an image of normal numbers, times 255 and cut to
    uint8, then its class.

    Args:
        size: number of samples.
        image_size: (channels, height, width).
        num_classes: classes are 0 to num_classes - 1.
        transform: function of the image: a Pillow image, or its pixels where it begins with `ToTensor`.
        target_transform: function of the class, a 0-d tensor.
        random_offset: another number gives other samples.

    Raises:
        IndexError: there is no such sample.
        ImportError: an image is asked for and Pillow is not installed.

    >>> from tapegrad.vision import datasets, transforms
    >>> data = datasets.FakeData(size=10, image_size=(3, 4, 4), transform=transforms.ToTensor())
    >>> image, target = data[0]
    >>> len(data), image.shape, target
    (10, torch.Size([3, 4, 4]), 2)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.image_size = image_size
        self.num_classes = num_classes
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Sample `index`: the image and its class, each through its transform."""
        if index >= self.size:
            raise IndexError(message("FakeData: there is no such sample", got=index, expected=f"below {self.size}"))
        generator = Generator()
        generator.manual_seed(index + self.random_offset)
        noise = randn(*self.image_size, generator=generator)
        target: Any = randint(0, self.num_classes, (1,), generator=generator)[0]
        image: Any = pixels_of(noise) if takes_pixels(self.transform) else to_pil_image(noise)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target.item()

    def __len__(self) -> int:
        return self.size
