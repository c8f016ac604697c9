"""Show a network on a page: drop a picture in, see its classes, switch bins off.

python -m pspnet demo logs/scenes_pspnet/version_0/checkpoints/best.ckpt
"""

from __future__ import annotations

import argparse
import os
import socket
from importlib.util import find_spec

from pspnet.errors import Parser, UserError, one_line_errors
from pspnet.files.paths import path_argument

HERE, FIRST, LAST = "127.0.0.1", 7860, 7960


def main(words: list[str] | None = None) -> None:
    """Run the command line; `words` default to `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for what is refused, 2 for wrong options.
    """
    given = _parser().parse_args(words)
    with one_line_errors():
        if given.path.lower().endswith((".onnx", ".pt2")):
            raise UserError(f"{given.path}: an exported file has no bins; give its checkpoint")
        if find_spec("gradio") is None:
            raise UserError("demo needs gradio: pip install 'pspnet[demo]', or pip install gradio")
        port = _free_port(given.host, given.port)
        _serve(given, port)


def _serve(given: argparse.Namespace, port: int) -> None:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when it is imported

    from pspnet.prediction.predictor import Predictor
    from pspnet.tools.demo.bins import read_bins
    from pspnet.tools.demo.page import STYLE, THEME, build
    from pspnet.tools.export.page.describe import about_of, title_of

    predictor = Predictor.load(given.path, device=given.device, trust=given.trust)
    trained = predictor.trained
    trained.require_rgb("the demo")
    bins = read_bins(trained, root=given.root, trust=given.trust)
    about = about_of(trained, protocol=predictor.protocol.name)
    page = build(predictor, bins, title=title_of(trained), about=about)
    page.queue(default_concurrency_limit=1)  # bins are switched on the one network
    page.launch(
        server_name=given.host,
        server_port=port,
        share=False,
        quiet=True,
        inbrowser=False,
        ssr_mode=False,
        prevent_thread_lock=True,
        allowed_paths=[str(path) for path in bins.examples],
        footer_links=[],
        theme=THEME,
        css=STYLE,
    )
    print(f"http://{given.host}:{port} shows the page until Ctrl+C ends it", flush=True)
    page.block_thread()


def _free_port(host: str, port: int | None) -> int:
    """Return the port, or the first free one.

    Raises:
        UserError: if it is taken, or the host is not this machine's.
    """
    for candidate in range(FIRST, LAST) if port is None else [port]:
        with socket.socket() as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                opened.bind((host, candidate))
                return candidate
            except OSError as error:
                reason = error.strerror or error
    shown = f"{host}:{FIRST if port is None else port}"
    raise UserError(f"{shown} cannot be served ({reason}); give another --port or --host")


def _parser() -> Parser:
    parser = Parser(prog="pspnet demo", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("path", help="a checkpoint, ours or a published one, or an id of the Hugging Face Hub")
    add("--port", type=_port, help=f"default the first free one from {FIRST} on")
    add("--host", default=HERE, help=f"address to serve; default {HERE}, this machine alone")
    add("--root", type=path_argument, help="folder of the run's data, if it moved")
    add("--device", help="default a GPU if there is one")
    add("--trust", action="store_true", help="import the classes that the checkpoint names")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text}: no port; give 1 to 65535")
    return int(text)


if __name__ == "__main__":
    main()
