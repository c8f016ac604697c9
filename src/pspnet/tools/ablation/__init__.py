"""Sweeps over settings and seeds: `python -m pspnet.tools.ablation list | run | report`."""
