"""Exports: a tags folder as files of the programs in which people work with video.

Out: `export.export_tags` writes them; each format is a module of functions from a tagged video to text.
"""
