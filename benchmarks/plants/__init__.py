"""Networks and images with a known cause planted, to score what `why` says of them."""
