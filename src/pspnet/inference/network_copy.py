"""The network that evaluation runs: a deep copy of it as it stands, with BN folded."""

from __future__ import annotations

from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from pspnet.models.pspnet import PSPNet
from pspnet.models.pyramid_pooling import BatchNorm2d
from pspnet.ops.conv_bn_fusion import fuse_conv_bn, refold, release, same_output
from pspnet.ops.dilated_depthwise import DilatedDepthwiseConv2d
from pspnet.ops.structure import Structure


class InferenceCopy:
    """Holds the copy of a network for evaluation; not a module, as it is no part of a checkpoint.

    Args:
        compile: run the copy by `torch.compile`, for images of all sizes.
    """

    def __init__(self, *, compile: bool = False) -> None:
        self.network: PSPNet | None = None
        self._compile = compile
        self._said: str | None = None
        self._structure: Structure | None = None
        self._copy: tuple[PSPNet, list[tuple[str, str]]] | None = None

    def update(self, network: PSPNet) -> None:
        """Copy `network` as it is now; where that fails or computes something else, take it itself.

        While the network's structure stays, the weights alone are folded again. The log says once
        which it is.
        """
        if self._copy is None or self._structure is None or not self._structure.is_that_of(network):
            self._structure = Structure(network)
            self._copy, said = _checked_copy(network)
            if self._compile and self._copy:
                self._copy[0].compile(dynamic=True)
            if said != self._said:
                rank_zero_info(said)
            self._said = said
        else:
            refold(self._copy[0], network, self._copy[1])
        self.network = self._copy[0] if self._copy else network

    def release(self) -> None:
        """Stop using the copy, and free the memory of its folded weights, which would go stale."""
        self.network = None
        if self._copy:
            release(*self._copy)


def fold(network: PSPNet) -> tuple[PSPNet, list[tuple[str, str]]]:
    """Return `fuse_conv_bn` of the network, whose encoder may be timm's."""
    # not before there is a network: timm imports wandb, and takes seconds
    from timm.layers.conv2d_same import Conv2dSame
    from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct

    norms = (nn.BatchNorm2d, nn.SyncBatchNorm, BatchNorm2d, BatchNormAct2d, SyncBatchNormAct)
    convolutions = (nn.Conv2d, Conv2dSame, DilatedDepthwiseConv2d)
    return fuse_conv_bn(network, norms=norms, convolutions=convolutions)


def inference_copy(network: PSPNet) -> tuple[PSPNet, str]:
    """Return a copy of `network` for inference, or the network, and a sentence on which it is.

    The network is run on one small image, by itself and as a copy, and both outputs are compared.
    """
    copied, said = _checked_copy(network)
    return copied[0] if copied else network, said


def _checked_copy(network: PSPNet) -> tuple[tuple[PSPNet, list[tuple[str, str]]] | None, str]:
    """Return the copy and its folded pairs, if it computes the same, and the sentence."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        copy, pairs = fold(network)
        network.eval()
        if same_output(network, copy):
            said = f"evaluation: {len(pairs)} batch normalizations folded into convolutions"
            return (copy, pairs), said
        reason = "its folded copy computes something else"
    except Exception as error:  # whatever somebody's own layers raise on shapes without values
        reason = f"it cannot be traced: {type(error).__name__}: {error}"
    finally:
        for module, training in modes:
            module.training = training
    return None, f"evaluation: the network itself, as {reason}"
