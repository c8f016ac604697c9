"""The parts of a network and what they do, measured: `python -m pspnet explain`."""
