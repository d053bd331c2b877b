"""Measures by ir-measures, and the statistics of their differences."""
