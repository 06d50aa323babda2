"""Paribus trains neural networks under matched conditions and says which differences are real."""

from importlib.metadata import version

__version__ = version("paribus")
