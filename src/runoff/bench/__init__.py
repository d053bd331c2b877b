"""The measurements of `runoff bench`: what a second stage costs on this machine."""
