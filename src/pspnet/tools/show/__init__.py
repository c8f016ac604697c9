"""Training crops as the network gets them, in one picture."""
