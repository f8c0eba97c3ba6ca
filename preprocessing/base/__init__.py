"""The disk and the words, for everybody: errors, files, locks, tables, options, optional libraries."""
