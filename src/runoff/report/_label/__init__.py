"""One HTML page on which people grade the documents of a table, without a network."""
