"""Faults that are put into a clean data set of discs and bars, and the words that name each."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

Fault = Callable[[Path], object]
TRAIN, VAL = range(8), range(8, 12)


def image(root: Path, number: int) -> Path:
    return root / "images" / f"{number:02}.png"


def mask(root: Path, number: int) -> Path:
    return root / "masks" / f"{number:02}.png"


def pixels(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def edit(place: Callable[[Path, int], Path], *numbers: int) -> Callable[..., Fault]:
    """Replace pixels of some files by a function of them."""

    def with_change(change: Callable[[np.ndarray], np.ndarray]) -> Fault:
        def fault(root: Path) -> None:
            for number in numbers:
                path = place(root, number)
                Image.fromarray(change(pixels(path))).save(path)

        return fault

    return with_change


def save(place: Callable[[Path, int], Path], number: int, **options: object) -> Fault:
    """Write a file in another form, under its name."""

    def fault(root: Path) -> None:
        path = place(root, number)
        opened = Image.open(path)
        opened.load()
        change = options.get("change", lambda it: it)
        kept = {key: it for key, it in options.items() if key != "change"}
        change(opened).save(path, **kept)  # type: ignore[operator]

    return fault


def to(place: Callable[[Path, int], Path], number: int, suffix: str, **options: object) -> Fault:
    """Write a file in the format of another suffix, in place of the file."""

    def fault(root: Path) -> None:
        path = place(root, number)
        Image.open(path).save(path.with_suffix(suffix), **options)
        path.unlink()

    return fault


def copy(source: int, target: int, *, label: bool = False, change: object = None) -> Fault:
    def fault(root: Path) -> None:
        if label:
            shutil.copy(mask(root, source), mask(root, target))
        it = pixels(image(root, source))
        Image.fromarray(it if change is None else change(it)).save(image(root, target))  # type: ignore[operator]

    return fault


def write(name: str, text: str) -> Fault:
    return lambda root: (root / name).write_text(text)


def cut(place: Callable[[Path, int], Path], number: int, share: float) -> Fault:
    def fault(root: Path) -> None:
        path = place(root, number)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return fault


def swap(one: int, other: int) -> Fault:
    def fault(root: Path) -> None:
        first, second = mask(root, one), mask(root, other)
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)

    return fault


def jpeg(it: np.ndarray, quality: int = 60) -> np.ndarray:
    done, content = cv2.imencode(".jpg", it, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)


def gray_of_classes(it: np.ndarray) -> np.ndarray:
    return np.array([0, 100, 200, *[0] * 252, 0], np.uint8)[it]


def exif(orientation: int) -> Fault:
    def fault(root: Path) -> None:
        tag = Image.Exif()
        tag[0x0112] = orientation
        Image.open(image(root, 3)).save(image(root, 3), exif=tag)

    return fault


def sixteen_bit(root: Path) -> None:
    cv2.imwrite(str(image(root, 2)), pixels(image(root, 2)).astype(np.uint16) * 257)


def pages(place: Callable[[Path, int], Path], number: int, suffix: str) -> Fault:
    def fault(root: Path) -> None:
        path = place(root, number)
        first = Image.open(path)
        first.load()
        other = Image.fromarray(255 - pixels(path))
        first.save(path.with_suffix(suffix), save_all=True, append_images=[other])
        path.unlink()

    return fault


def everywhere(change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    return edit(mask, *TRAIN, *VAL)(change)


def color_masks(root: Path) -> None:
    colors = np.zeros((256, 3), np.uint8)
    colors[:3] = (90, 90, 60), (220, 40, 40), (40, 60, 220)
    colors[255] = (1, 2, 3)
    edit(mask, 4)(lambda it: colors[it])(root)


def palette_of_others(root: Path) -> None:
    it = Image.open(mask(root, 5))
    it.putpalette([7, 8, 9, 17, 18, 19, 27, 28, 29, 37, 38, 39])
    it.save(mask(root, 5))


def alpha(value: int) -> Callable[[Image.Image], Image.Image]:
    def change(it: Image.Image) -> Image.Image:
        layer = np.full(it.size[::-1], 255, np.uint8)
        layer[:9] = value
        return Image.merge("LA", (it.convert("L"), Image.fromarray(layer)))

    return change


def names(text: str) -> Fault:
    return write("classes.yaml", f"names: {text}\n")


def roll(it: np.ndarray) -> np.ndarray:
    return np.roll(it, (4, 7), (0, 1))


def without(value: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda it: np.where(it == value, 0, it).astype(np.uint8)


def half(it: np.ndarray) -> np.ndarray:
    return cv2.resize(it, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def recompressed(it: np.ndarray) -> np.ndarray:
    content = io.BytesIO()
    Image.fromarray(it).save(content, "JPEG", quality=92, subsampling=0)
    return np.array(Image.open(content))


def noisy(it: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 1, it.shape)
    return np.clip(it + noise, 0, 255).astype(np.uint8)


# name: (fault, level, pattern of the line that names it)
FAULTS: dict[str, tuple[Fault, str, str]] = {
    # files that are missing, doubled or not to be found
    "no mask": (lambda r: mask(r, 1).unlink(), "error", r"masks/01\.png is missing"),
    "no image": (lambda r: image(r, 1).unlink(), "error", r"masks/01\.png has no image"),
    "two of one stem": (
        lambda r: shutil.copy(image(r, 1), r / "images/01.jpg"),
        "error",
        "one stem",
    ),
    "mask of a lossy suffix": (to(mask, 1, ".jpg"), "error", r"masks/01\.jpg.* is not read"),
    "unknown in a list": (write("val.txt", "08\nghost\n"), "error", "'ghost'.*no such image"),
    "twice in a list": (write("val.txt", "08\n08\n"), "error", "names '08' 2 times"),
    "in two lists": (write("val.txt", "00\n08\n"), "error", "'00', as does val.txt"),
    "empty list": (write("val.txt", "\n"), "error", r"val\.txt names no file"),
    "only one list": (lambda r: (r / "val.txt").unlink(), "error", r"val\.txt is missing"),
    "no classes": (lambda r: (r / "classes.yaml").unlink(), "error", r"classes\.yaml is missing"),
    "classes without names": (write("classes.yaml", "colors: []\n"), "error", "has no names"),
    "one class": (names("[disc]"), "error", "1 class, 'disc'"),
    "doubled class": (names("[a, b, a]"), "error", r"\['a'\] occur more than once"),
    "other files": (write("images/a.npy", "x"), "note", r"not read.*1 \.npy"),
    "dead link": (
        lambda r: (image(r, 1).unlink(), image(r, 1).symlink_to("no")),
        "error",
        "01.png",
    ),
    # files that cannot be read, or would be read as less than they hold
    "truncated image": (cut(image, 1, 0.6), "error", r"images/01\.png cannot be read"),
    "truncated mask": (cut(mask, 1, 0.6), "error", r"masks/01\.png cannot be read"),
    "empty file": (cut(image, 1, 0), "error", r"images/01\.png cannot be read"),
    "text as image": (write("images/01.png", "hello"), "error", "not a known image format"),
    "16 bit": (sixteen_bit, "error", r"images/02\.png has 16 bits"),
    "pages": (pages(image, 2, ".tif"), "error", r"images/02\.tif has 2 pages"),
    "pages of a mask": (pages(mask, 2, ".tif"), "error", r"masks/02\.tif has 2 pages"),
    "other size": (edit(mask, 3)(lambda it: it[:-4]), "error", "96×68 pixels, its image .*96×72"),
    "EXIF on its side": (exif(6), "error", "turned by its EXIF orientation"),
    # masks that hold something that is no class
    "JPEG as mask": (save(mask, 4, format="JPEG"), "error", r"masks/04\.png is a JPEG file"),
    "color of no class": (color_masks, "error", r"masks/04\.png holds the colors \(1, 2, 3\)"),
    "palette of others": (
        palette_of_others,
        "error",
        r"masks/05\.png holds the colors \(7, 8, 9\)",
    ),
    "transparent": (save(mask, 6, change=alpha(0)), "error", r"masks/06\.png is transparent in"),
    "soft edges": (save(mask, 6, change=alpha(90)), "error", r"masks/06\.png .*transparent"),
    "wide value": (edit(mask, 7)(lambda it: it.astype(np.uint16) + 300), "error", "values 300 to"),
    "one value": (
        edit(mask, 7)(lambda it: np.where(it == 2, 9, it).astype(np.uint8)),
        "error",
        "9,",
    ),
    # values that mean something else throughout
    "0 and 255": (
        everywhere(lambda it: np.where(it == 1, 255, 0).astype(np.uint8)),
        "error",
        "255: disc",
    ),
    "0 and 255 in color": (
        everywhere(lambda it: np.where(it[..., None] == [1, 1, 1], 255, 0).astype(np.uint8)),
        "error",
        "all 12 masks hold only the values 0 and 255",
    ),
    "border of no class": (
        everywhere(lambda it: np.where(it == 255, 9, it).astype(np.uint8)),
        "error",
        r"12 of 12 masks hold \[9\], .*`ignore: \[9\]`",
    ),
    "class too few": (
        names("[ground, disc]"),
        "error",
        "0 to 2, one value more than the 2 classes",
    ),
    "off by one": (
        everywhere(lambda it: np.where(it == 255, 255, it + 1).astype(np.uint8)),
        "error",
        "reduce_zero_label: true",
    ),
    "JPEG noise": (
        everywhere(lambda it: jpeg(gray_of_classes(it))),
        "error",
        "JPEG compression or",
    ),
    "smooth resizing": (
        everywhere(lambda it: cv2.resize(half(gray_of_classes(it)), it.shape[::-1])),
        "error",
        "smooth resizing",
    ),
    "pictures": (
        lambda r: [shutil.copy(image(r, k), mask(r, k)) for k in TRAIN],
        "error",
        "pictures",
    ),
    "class never": (
        everywhere(without(2)),
        "warning",
        "train: no pixel of bar .1 of 3 classes. in 8",
    ),
    "class not in val": (
        edit(mask, *VAL)(without(2)),
        "note",
        "val: no pixel of bar .1 of 3 classes. in 4",
    ),
    "all ignored": (everywhere(lambda it: it | 255), "error", "no label has a pixel of any class"),
    "one ignored": (
        edit(mask, 2)(lambda it: it | 255),
        "warning",
        "no pixel of any class in 1 of 8",
    ),
    "mostly ignored": (
        everywhere(lambda it: np.where(it == 0, 255, it).astype(np.uint8)),
        "warning",
        r"train: \d+% of all pixels are ignored",
    ),
    "one class each": (everywhere(lambda it: it * 0 + 1), "warning", "pixels of one class only"),
    # pairs and copies
    "copy": (copy(0, 9, label=True), "warning", r"00\.png \(train\) has the same pixels .*\(val\)"),
    "copy within": (copy(0, 1, label=True), "note", r"00\.png \(train\) has the same pixels"),
    "copy, other label": (copy(0, 1), "warning", "their labels differ"),
    "JPEG copy": (
        copy(0, 9, label=True, change=recompressed),
        "warning",
        r"09\.png \(val\) is nearly the same",
    ),
    "brighter copy": (
        copy(0, 9, label=True, change=lambda it: np.minimum(it, 240) + np.uint8(9)),
        "warning",
        r"09\.png \(val\) is nearly the same",
    ),
    "noisy copy": (
        copy(0, 9, label=True, change=noisy),
        "warning",
        r"09\.png \(val\) is nearly the same",
    ),
    "shifted": (
        edit(mask, 5)(roll),
        "warning",
        r"masks/05\.png seems to be shifted.*higher .*left",
    ),
    "all shifted": (
        everywhere(roll),
        "warning",
        "labels lie beside their images: in .* of 12 pairs",
    ),
    "swapped": (swap(3, 10), "warning", r"masks/(03|10)\.png and .* seem to be swapped"),
    # forms of images
    "EXIF upside down": (exif(3), "warning", r"images/03\.png is turned by its EXIF orientation 3"),
    "single color": (
        edit(image, 6)(lambda it: it * 0),
        "warning",
        "1 images are of a single color",
    ),
    "gray": (save(image, 6, change=lambda it: it.convert("L")), "note", "1 of 12 images are gray"),
    "alpha": (
        save(image, 6, change=lambda it: it.convert("RGBA")),
        "note",
        "with an alpha channel",
    ),
}
