"""Faster graphs of the same models: what is written into an ONNX file once and not computed again.

Each pass changes a graph in place and is right by what was seen in runs of it, so it asks nothing
of the exporter that wrote the file. Whether scores stay the same is checked by `cleaned`.
"""
