"""The proposals as YAML to paste."""

from __future__ import annotations

from typing import Any

import yaml

FORMS = {
    "inverse_frequency": "1 / f_c, with f_c the share of class c in the labeled pixels",
    "log_frequency": "1 / ln(1.02 + f_c) (Paszke et al., ENet, arXiv 1606.02147)",
    "median_frequency": "median(F) / F_c, F_c in images with c (Eigen & Fergus, ICCV 2015)",
    "effective_number": "(1 - b) / (1 - b^n_c), n_c images, b = 0.999 (Cui et al., CVPR 2019)",
}


def proposals_text(proposals: dict[str, Any]) -> str:
    """Return proposals as YAML with comments that say where they come from."""
    lines = [
        "# of all training images; the default is what the encoder's weights expect",
        yaml.safe_dump({"data": proposals["data"]}, default_flow_style=None, sort_keys=False),
        "# windows of the crop size (model.protocol=paper-ss) slide over images at their own size;"
        " to resize",
        f"# them to their median long side: model.inference.base_size={proposals['base_size']}",
        *_cost(proposals["cost"]),
        "",
        "# weights of the classes in the loss, of mean 1, in the order of the classes",
    ]
    for name, weights in proposals["class_weights"].items():
        lines.append(f"# {name}: {FORMS[name]}")
        lines.append(f"# {', '.join(f'{key} {value:g}' for key, value in weights.items())}")
        lines.append(f"# {name}: {list(weights.values())}")
    return "\n".join(lines)


def _cost(cost: dict[str, Any]) -> list[str]:
    height, width = cost["crop_size"]
    return [
        f"# with crops of {width}×{height} and batch_size {cost['batch_size']}:"
        f" {cost['steps_per_epoch']} steps per epoch;",
        f"# loading takes {cost['loading_seconds_per_epoch']} s per epoch with"
        f" {cost['workers']} processes ({1000 * cost['seconds_per_crop']:.1f} ms per crop, measured"
        " here);",
        f"# a batch takes {cost['batch_megabytes']} MiB before the network",
    ]
