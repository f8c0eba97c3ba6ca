"""Exports: a tags folder as files of the programs in which people work with video.

Out: `export.export_tags` writes them, in the formats of `export.FORMATS`; each is a module of functions from a tagged
video to text.
"""

AUTO = "auto"  # start timecode: what the video's file says
BASE_URL = "http://localhost:8000"
