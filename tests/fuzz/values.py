"""Wrong and odd values: by type, and for every option alike; and the files that they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

from fuzz.parsers import Option
from hypothesis import strategies as st

NUMBERS = (
    *("0", "-0.0", "-1", "1", "2", "1.0", "0.5", "1.5", "-0.5", "3.7", "1e3", "100", "99999"),
    *("65536", "1000000", str(2**31), str(2**32), str(2**63), str(10**20), "9" * 5000),
    *("1e-320", "1e300", "1e400", "-1e400", "nan", ".nan", "inf", ".inf", "-.inf", "1e-45"),
    *("0x10", "0o7", "1_000", "1:30", "٣", "1,5", "+1", "1e", "true", "no"),
)
TEXTS = (
    *("", " ", "null", "None", "~", "a", "A b", "é", "日本", "𐀀", "-", "--", "=", "%s", "@", "#"),
    *(
        "a\nb",
        "a\tb",
        "\x1b[31mred\x1b[0m",
        "\x07",
        "\u202eabc",
        "\u2028",
        "\udcff",
        "\\",
        "'",
        '"',
    ),
    *(
        "z" * 300,
        "z/" * 2100 + "z",
        ".",
        "..",
        "/",
        "a/../../b",
        "../up",
        "~root",
        "con",
        "a" * 4097,
    ),
    *("http:l", "http://127.0.0.1:1/x", "s3://b/k", "file:///etc/passwd", "$HOME", "2020-01-01"),
)
YAMLS = (
    *("[]", "{}", "[1, 2]", "[1, a]", "[null]", "[[]]", "{a: 1}", "{1: 2}", "[1,", "{a", "a: b: c"),
    *("&a [*a]", "*a", "<<: 1", "!!python/object/apply:os.getcwd []", "!x y", "- a", "\t- a"),
    *("{class_path: os.system}", "{class_path: nope.Nope}", "{class_path: 1}", "{init_args: 1}"),
    *("{class_path: pspnet.PSPNet, init_args: []}", "[" * 3000, "{a: " * 500, "? a", "|"),
)
FILES = (
    *("folder", "empty", "fifo", "loop", "gone", "unreadable", "text.txt", "latin1.yaml"),
    *("junk.bin", "junk.yaml", "list.yaml", "number.yaml", "tabs.yaml", "bomb.yaml", "deep.yaml"),
    *("bom.yaml", "nul.yaml", "own.yaml", "scalar.yaml", "doubled.yaml", "python.yaml", "zip.ckpt"),
    *("text.ckpt", "junk.png", "folder.png", "folder.yaml", "fifo.yaml", "fifo.png", "fifo.ckpt"),
    *("/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "/", "folder/", "text.txt/x"),
)


def lay_out(top: Path) -> None:
    """Make the files that `FILES` names."""
    for name in ("folder", "folder.png", "folder.yaml"):
        (top / name).mkdir()
    for name in ("fifo", "fifo.yaml", "fifo.png", "fifo.ckpt"):
        os.mkfifo(top / name)
    (top / "loop").symlink_to("loop")
    (top / "gone").symlink_to("nowhere")
    noise = bytes(range(256)) * 8
    contents: dict[str, bytes] = {
        "empty": b"",
        "text.txt": b"some text\n",
        "unreadable": b"name: a\n",
        "latin1.yaml": b"name: caf\xe9\n",
        "junk.bin": noise,
        "junk.yaml": noise,
        "junk.png": b"\x89PNG\r\n\x1a\n" + noise,
        "list.yaml": b"- a\n- b\n",
        "number.yaml": b"7\n",
        "scalar.yaml": b"just words\n",
        "tabs.yaml": b"a:\n\t- b\n",
        "bomb.yaml": _bomb(),
        "deep.yaml": b"[" * 5000 + b"]" * 5000,
        "bom.yaml": b"\xef\xbb\xbfname: a\n",
        "nul.yaml": b'name: "a\\0b"\n',
        "own.yaml": b'name: "a\\nb"\nlogs: [1]\n',
        "doubled.yaml": b"name: a\nname: b\n",
        "python.yaml": b"name: !!python/object/apply:os.getcwd []\n",
        "text.ckpt": b"a: [1\n b: }",
        "zip.ckpt": b"PK\x03\x04" + noise,
    }
    for name, content in contents.items():
        (top / name).write_bytes(content)
    (top / "unreadable").chmod(0)


def _bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(lines).encode()


def words(option: Option) -> list[str]:
    """Return every fixed value that is tried on an option."""
    special = [*option.choices, *(word.upper() for word in option.choices)]
    if option.kind is not None and "tuple" in str(option.kind):
        special += [f"[{n}]" for n in NUMBERS[:12]] + [
            f"[{a},{b}]" for a, b in (("0", "1"), ("1", "0"), ("-1", "1"), ("nan", "1"))
        ]
        special += ["[.inf,.inf]", "[1e400,1]", "[100000,100000]", "[1,1]", "[0.1,0.1]", "[5,5,5]"]
        special += ["[1000.0]", "[0.0,1.0,0.5]", "[" + ",".join(["1"] * 3000) + "]"]
    if "list[float]" in str(option.kind):
        special += ["[0,0,0]", "[-1,1,1]", "[nan,1,1]", "[.inf,1,1]", "[1]", "[1,1,1,1,1,1,1]"]
    return list(dict.fromkeys([*special, *NUMBERS, *TEXTS, *YAMLS, *FILES]))


def drawn(option: Option) -> st.SearchStrategy[str]:
    """Return a strategy for values of an option: the fixed ones, and others near its type."""
    near: list[st.SearchStrategy[Any]] = [st.sampled_from(words(option))]
    kinds = [option.kind, *get_args(option.kind)]  # some arguments of types have no hash
    if int in kinds:
        near.append(st.integers().map(str))
    if float in kinds:
        near.append(st.floats().map(repr))
    # no word of a command line holds a NUL
    near.append(st.text(st.characters(exclude_characters="\0"), max_size=20))
    return st.one_of(near)
