"""What tagging leaves for a person: the tags of a video, their files, pictures and pages."""
