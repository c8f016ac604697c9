"""The network: encoder, dilation, pyramid pooling, decoder; knows no data."""
