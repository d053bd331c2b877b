"""Local models on ONNX Runtime: found, loaded once, and run over the cores.

Recall and rerank build on it. Nothing heavy is imported until a model is used.
"""
