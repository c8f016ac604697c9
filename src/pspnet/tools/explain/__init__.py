"""What the parts of a network do, measured: `python -m pspnet.tools.explain`."""
