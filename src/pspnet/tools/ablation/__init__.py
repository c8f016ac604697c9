"""Sweeps over settings and seeds: `python -m pspnet ablation list | run | report`."""
