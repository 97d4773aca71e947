"""One arithmetic thread per test process: tests run side by side, and small tensors gain nothing from two."""

import torch

torch.set_num_threads(1)
