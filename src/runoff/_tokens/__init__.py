"""Token vectors: made by an encoder, kept in a store, compared by MaxSim.

Recall and rerank build on it, as one encoding pass serves both.
"""
