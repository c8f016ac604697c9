"""The class scores of images: named protocols, and the passes and windows that compute them."""
