"""Two systems compared: what differs, whether it is proven, and what nobody judged."""
