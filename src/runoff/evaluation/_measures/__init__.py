"""Measures by ir-measures."""
