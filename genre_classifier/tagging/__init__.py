"""Tagging: from a video and a run to scores in time, segments, and the files and pages that show them.

Out: `tag.tag_trailer` gives `tags.Tags`; `folder.tag_videos` writes the tags folder.
"""
