"""The explorer: one page for looking into search results, and what answers its questions.

`Explorer.answer` answers every question; a local server, a notebook's widget and an offline file
carry the answers to the page.
"""
