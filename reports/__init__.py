"""The pages: one base template, one stylesheet, one chart module, one catalogue of words.

A page takes plain rows and figures and gives HTML in one file that opens without a network and
runs no script. What the rows are read from is the caller's business.
"""

from reports.page import render, text, titled, worded, write

__all__ = ["render", "text", "titled", "worded", "write"]
