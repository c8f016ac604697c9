"""Files that take images of any size and give what the network gives."""

import json

import numpy as np
import pytest
import torch
from prediction.trained import CLASSES, MEAN, STD, small_task, write_checkpoint
from torch import nn

from pspnet import PSPNet
from pspnet.errors import UserError
from pspnet.prediction.loading import Trained
from pspnet.tools.export.__main__ import main
