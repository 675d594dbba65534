"""File formats in which data sets are published: images, tables, MATLAB, RecordIO, pickles without code."""
