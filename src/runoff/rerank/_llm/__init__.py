"""Language models: what can be asked, what they reply, and what orders documents by them."""
