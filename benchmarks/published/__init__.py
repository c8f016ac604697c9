"""The published formulation, as hszhao/semseg computes it: network, augmentation, evaluation."""
