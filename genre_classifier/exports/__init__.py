"""Exports, for other programs: what was tagged, and the network that tags.

Out: `export.export_tags` writes a tags folder as files of the programs in which people work with video; each format is
a module of functions from a tagged video to text, named in `export.FORMATS`. `export_model.export_model` writes the
network of a run.
"""

AUTO = "auto"  # start timecode: what the video's file says
BASE_URL = "http://localhost:8000"
