"""Local models on ONNX Runtime: found, loaded once, and run over the cores.

This room lies beneath recall and rerank. Nothing heavy is imported until a model is used.
"""
